package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/envladder/envladder/webhook/certs"
	"github.com/envladder/envladder/webhook/webhooktest"
)

// served is a handler that is served as in production.
type served struct {
	folder, address string
	stop            context.CancelFunc
	ended           chan error
}

func serveForTest(t *testing.T, handler http.Handler) served {
	t.Helper()
	s := served{folder: t.TempDir(), ended: make(chan error, 1)}
	if err := webhooktest.WriteCertificate(s.folder, "first"); err != nil {
		t.Fatal(err)
	}
	certificates, err := certs.New(certs.Options{CertFile: filepath.Join(s.folder, "tls.crt"), KeyFile: filepath.Join(s.folder, "tls.key")})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.address = listener.Addr().String()
	ctx, cancel := context.WithCancel(t.Context())
	s.stop = cancel
	go func() { _ = certificates.Run(ctx) }()
	go func() {
		s.ended <- serve(ctx, listener, certificates.Get, handler, slog.New(slog.DiscardHandler))
	}()
	return s
}

// certificate returns the common name of the certificate that is served now.
func (s served) certificate() string {
	name := ""
	connection, err := tls.Dial("tcp", s.address, &tls.Config{
		InsecureSkipVerify: true, // the test compares its name
		VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error {
			certificate, err := x509.ParseCertificate(raw[0])
			if err == nil {
				name = certificate.Subject.CommonName
			}
			return err
		},
	})
	if err == nil {
		_ = connection.Close()
	}
	return name
}

func TestServeReloadsCertificate(t *testing.T) {
	s := serveForTest(t, http.NotFoundHandler())
	if err := webhooktest.WaitUntil(func() bool { return s.certificate() == "first" }); err != nil {
		t.Fatalf("the first certificate isn't served: %v", err)
	}
	if err := webhooktest.WriteCertificate(s.folder, "second"); err != nil {
		t.Fatal(err)
	}
	if err := webhooktest.WaitUntil(func() bool { return s.certificate() == "second" }); err != nil {
		t.Errorf("the second certificate isn't served: %v", err)
	}
	s.stop()
	if err := <-s.ended; err != nil {
		t.Error(err)
	}
}

func TestServeDrainsRequests(t *testing.T) {
	arrived, answer := make(chan struct{}), make(chan struct{})
	s := serveForTest(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-answer
		fmt.Fprint(w, "answered")
	}))
	got := make(chan string, 1)
	go func() {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
		response, err := client.Get("https://" + s.address)
		if err != nil {
			got <- err.Error()
			return
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body)
		got <- string(body)
	}()
	<-arrived
	s.stop()
	if err := webhooktest.WaitUntil(func() bool {
		connection, err := net.Dial("tcp", s.address)
		if err == nil {
			_ = connection.Close()
		}
		return err != nil
	}); err != nil {
		t.Fatalf("the server still listens: %v", err)
	}
	select {
	case err := <-s.ended:
		t.Fatalf("the server ended with a request in flight: %v", err)
	default:
	}
	close(answer)
	if text := <-got; text != "answered" {
		t.Errorf("the request in flight got %q", text)
	}
	if err := <-s.ended; err != nil {
		t.Error(err)
	}
}

// TestCertificateRenewal checks that the webhook has issued its certificate and written the CA
// to the configuration, issues new ones after both are lost, and serves the new certificate
// without a restart.
func TestCertificateRenewal(t *testing.T) {
	env := startedEnv(t)
	namespace := env.NewNamespace(t)
	env.createGate(t, env.ProdGate(namespace))
	bundle := func() []byte {
		var hook admissionregistrationv1.ValidatingWebhookConfiguration
		if err := env.Client.Get(t.Context(), types.NamespacedName{Name: "envladder-webhook"}, &hook); err != nil {
			t.Fatal(err)
		}
		return hook.Webhooks[0].ClientConfig.CABundle
	}
	before := bundle()
	var secret corev1.Secret
	if err := env.Client.Get(t.Context(), webhooktest.TLSSecret, &secret); err != nil {
		t.Fatal(err)
	}
	if len(before) == 0 || !bytes.Equal(before, secret.Data["ca.crt"]) {
		t.Fatal("the configuration's CA isn't the certificate's")
	}

	secret.Data = nil
	if err := env.Client.Update(t.Context(), &secret); err != nil {
		t.Fatal(err)
	}
	if err := webhooktest.WaitUntil(func() bool { after := bundle(); return len(after) > 0 && !bytes.Equal(before, after) }); err != nil {
		t.Fatalf("waiting for another CA: %v", err)
	}
	var last error
	err := webhooktest.WaitUntil(func() bool {
		last = env.Client.Create(t.Context(), webhooktest.NewPod(namespace, "web", env.Host+"/shop/web:1"), client.DryRunAll)
		return last != nil && strings.Contains(last.Error(), "denied the request")
	})
	if err != nil {
		t.Fatalf("waiting for an answer with the new certificate: %v (last: %v)", err, last)
	}
}

func TestRenewalAccountChangesOnlyCA(t *testing.T) {
	env := startedEnv(t)
	own := env.ClientAs(t, "system:serviceaccount:envladder:envladder-webhook")
	var hook admissionregistrationv1.ValidatingWebhookConfiguration
	if err := own.Get(t.Context(), types.NamespacedName{Name: "envladder-webhook"}, &hook); err != nil {
		t.Fatal(err)
	}
	ignore, long := admissionregistrationv1.Ignore, int32(29)
	for name, change := range map[string]func(*admissionregistrationv1.ValidatingWebhook){
		"policy": func(w *admissionregistrationv1.ValidatingWebhook) { w.FailurePolicy = &ignore },
		"rules":  func(w *admissionregistrationv1.ValidatingWebhook) { w.Rules = w.Rules[1:] },
		"namespaces": func(w *admissionregistrationv1.ValidatingWebhook) {
			w.NamespaceSelector.MatchExpressions[0].Values[0] = "x"
		},
		"conditions":    func(w *admissionregistrationv1.ValidatingWebhook) { w.MatchConditions = w.MatchConditions[:1] },
		"no conditions": func(w *admissionregistrationv1.ValidatingWebhook) { w.MatchConditions = nil },
		"address":       func(w *admissionregistrationv1.ValidatingWebhook) { *w.ClientConfig.URL = "https://127.0.0.1:1/" },
		"timeout":       func(w *admissionregistrationv1.ValidatingWebhook) { w.TimeoutSeconds = &long },
		"name":          func(w *admissionregistrationv1.ValidatingWebhook) { w.Name = "other.envladder.dev" },
	} {
		t.Run(name, func(t *testing.T) {
			changed := hook.DeepCopy()
			change(&changed.Webhooks[0])
			if err := own.Update(t.Context(), changed, client.DryRunAll); !deniedByGuard(err) {
				t.Errorf("the webhook's account may change it: %v", err)
			}
		})
	}
	changed := hook.DeepCopy()
	changed.Webhooks[0].ClientConfig.CABundle = append(changed.Webhooks[0].ClientConfig.CABundle, '\n')
	if err := own.Update(t.Context(), changed, client.DryRunAll); err != nil {
		t.Errorf("the webhook's account may not change the CA: %v", err)
	}
	if err := own.Delete(t.Context(), changed, client.DryRunAll); !deniedByGuard(err) {
		t.Errorf("the webhook's account may delete the configuration: %v", err)
	}
}

// deniedByGuard reports whether the chart's policy denied a request.
func deniedByGuard(err error) bool {
	return err != nil && strings.Contains(err.Error(), "ValidatingAdmissionPolicy 'envladder-guard'") && strings.Contains(err.Error(), "may not")
}
