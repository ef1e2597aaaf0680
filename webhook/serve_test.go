package webhook

import (
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
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/logtest"
)

// served is a handler served as in production.
type served struct {
	folder, address string
	stop            context.CancelFunc
	ended           chan error
}

func serveForTest(t *testing.T, handler http.Handler) served {
	t.Helper()
	s := served{folder: t.TempDir(), ended: make(chan error, 1)}
	if _, err := writeCertificate(s.folder, "first"); err != nil {
		t.Fatal(err)
	}
	certificates, err := newCertificates(Config{CertFile: filepath.Join(s.folder, "tls.crt"), KeyFile: filepath.Join(s.folder, "tls.key")})
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
	go func() { _ = certificates.run(ctx) }()
	go func() {
		s.ended <- serve(ctx, listener, certificates.get, handler, slog.New(slog.DiscardHandler))
	}()
	return s
}

// certificate is the name on the certificate that is served now.
func (s served) certificate() string {
	name := ""
	connection, err := tls.Dial("tcp", s.address, &tls.Config{
		InsecureSkipVerify: true, // whichever it is, its name is all that is asked for
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

func TestCertificateIsReadAgainWhenItChanges(t *testing.T) {
	s := serveForTest(t, http.NotFoundHandler())
	if err := until(func() bool { return s.certificate() == "first" }); err != nil {
		t.Fatalf("the first certificate isn't served: %v", err)
	}
	if _, err := writeCertificate(s.folder, "second"); err != nil {
		t.Fatal(err)
	}
	if err := until(func() bool { return s.certificate() == "second" }); err != nil {
		t.Errorf("the second certificate isn't served: %v", err)
	}
	s.stop()
	if err := <-s.ended; err != nil {
		t.Error(err)
	}
}

func TestRequestsInFlightEndBeforeTheServer(t *testing.T) {
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
	if err := until(func() bool {
		connection, err := net.Dial("tcp", s.address)
		if err == nil {
			_ = connection.Close()
		}
		return err != nil
	}); err != nil {
		t.Fatalf("the server goes on to listen: %v", err)
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

func TestStatusOfGates(t *testing.T) {
	b := up(t)
	namespace := b.namespace(t)
	g := b.prodGate(namespace)
	b.gate(t, g)

	condition := func(generation int64) *metav1.Condition {
		t.Helper()
		if err := until(func() bool {
			live := &v1alpha1.Gate{}
			if err := b.client.Get(t.Context(), client.ObjectKeyFromObject(g), live); err != nil {
				t.Fatal(err)
			}
			*g = *live
			return g.Status.ObservedGeneration == generation
		}); err != nil {
			t.Fatalf("the status of generation %d isn't written: %v\n%s", generation, err, b.logs)
		}
		return meta.FindStatusCondition(g.Status.Conditions, v1alpha1.ConditionAccepted)
	}
	brief := func(c *metav1.Condition) []string {
		return []string{string(c.Status), c.Reason, fmt.Sprint(c.ObservedGeneration), c.Message}
	}

	if diff := cmp.Diff([]string{"True", "Accepted", "1", "images are judged by this Gate"}, brief(condition(1))); diff != "" {
		t.Errorf("condition (-want +got):\n%s", diff)
	}

	// The API server can't see that a key is no key.
	key := g.Spec.Signers[0].Key.Data
	g.Spec.Signers[0].Key.Data = "-----BEGIN PUBLIC KEY-----\nbm8ga2V5\n-----END PUBLIC KEY-----\n"
	if err := b.client.Update(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	refused := condition(2)
	if refused.Status != metav1.ConditionFalse || refused.Reason != "GateInvalid" || refused.ObservedGeneration != 2 {
		t.Errorf("the condition is %v, want False, GateInvalid, of generation 2", brief(refused))
	}
	proven := b.proven(t)
	if err := until(func() bool {
		return b.client.Create(t.Context(), newPod(namespace, "refused", proven), client.DryRunAll) != nil
	}); err != nil {
		t.Error("the namespace of a Gate that isn't accepted admits")
	}

	g.Spec.Signers[0].Key.Data = key
	if err := b.client.Update(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	if mended := condition(3); mended.Status != metav1.ConditionTrue || !mended.LastTransitionTime.After(time.Time{}) {
		t.Errorf("the condition is %v, want True again", brief(mended))
	}
}

// TestFollowingThatFailsIsLogged: a webhook that may not list Recalls doesn't know of
// them, and its log says so.
func TestFollowingThatFailsIsLogged(t *testing.T) {
	b := up(t)
	cluster := rest.CopyConfig(b.admin)
	cluster.Impersonate = rest.ImpersonationConfig{UserName: "nobody"}
	logs := &logtest.Buffer{}
	manager, err := newManager(Config{Cluster: cluster, Log: slog.New(slog.NewTextHandler(logs, nil))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	defer func() { cancel(); <-ended }()
	if _, err := manager.GetCache().GetInformer(ctx, emptyOf(recallKind), cache.BlockUntilSynced(false)); err != nil {
		t.Fatal(err)
	}
	go func() { ended <- follow(ctx, manager) }()
	if err := until(func() bool {
		text := logs.String()
		return strings.Contains(text, "following the cluster fails") && strings.Contains(text, "Recall") && strings.Contains(text, "forbidden")
	}); err != nil {
		t.Errorf("the log doesn't say that Recalls can't be followed:\n%s", logs)
	}
}
