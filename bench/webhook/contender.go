package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	certutil "k8s.io/client-go/util/cert"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/bench/internal/harness"
)

// Titles of the contenders in the tables.
const (
	ours        = "envladder"
	theirs      = "policy-controller"
	theirsStock = "policy-controller, 40 requests/s"
)

// contender is a running webhook.
type contender struct {
	harness.Process
	caller

	title string
	// metrics is the URL of the metrics; only our webhook has one.
	metrics string
	// idleMemory is the memory in bytes once the webhook is ready and has no requests.
	idleMemory int64
}

// startOurs runs envladder-webhook with the flags of its manifests.
func (w *fixture) startOurs(ctx context.Context) (*contender, error) {
	addresses, err := harness.FreeAddresses(ctx, 2)
	if err != nil {
		return nil, err
	}
	certificate, key, err := certutil.GenerateSelfSignedCertKey("localhost", []net.IP{net.IPv4(127, 0, 0, 1)}, nil)
	if err != nil {
		return nil, err
	}
	cert, keyFile := filepath.Join(w.folder, "tls.crt"), filepath.Join(w.folder, "tls.key")
	if err := errors.Join(os.WriteFile(cert, certificate, 0o600), os.WriteFile(keyFile, key, 0o600)); err != nil {
		return nil, err
	}
	c := &contender{
		title: ours, Process: harness.Process{Path: w.webhook}, metrics: "http://" + addresses[1] + "/metrics",
		caller: newCaller(addresses[0], "/validate", ourChecked, certificate),
	}
	err = c.Start(ctx, []string{
		"--kubeconfig", w.kubeconfig, "--listen", addresses[0], "--metrics-bind-address", addresses[1], "--tls-cert-file", cert, "--tls-private-key-file", keyFile,
		"--evidence-cache-namespace", ourNamespace, "--log-format", "json",
	}, []string{"HOME=" + w.folder, "GOMEMLIMIT=900MiB"}, func() error { return harness.Dial(ctx, "tcp", addresses[0]) })
	if err != nil {
		return nil, err
	}
	return w.awaitReady(ctx, c)
}

// benchGate returns a Gate that requires what the compared images have: a signature and a
// soak.
func (w *fixture) benchGate() *v1alpha1.Gate {
	g := &v1alpha1.Gate{ObjectMeta: metav1.ObjectMeta{Name: "bench"}}
	signer := func(name string) v1alpha1.Signer {
		return v1alpha1.Signer{Name: name, Key: &v1alpha1.KeySigner{Data: w.keys[name].PublicPEM()}, Time: v1alpha1.TimeTrustSigner}
	}
	g.Spec = v1alpha1.GateSpec{
		Environment: "prod", Namespaces: []string{ourChecked}, Action: v1alpha1.ActionDeny,
		Images: []v1alpha1.GateImage{
			{Repository: w.registries.plain + "/shop/*", Ladder: "bench"},
			{Repository: w.registries.modern + "/known/*", Ladder: "bench"},
		},
		Signers: []v1alpha1.Signer{signer("ci"), signer("observer")},
		Requires: v1alpha1.Requirements{
			Signature: &v1alpha1.SignatureRequirement{By: []string{"ci"}},
			Soak: &v1alpha1.SoakRequirement{
				By: []string{"observer"}, Environment: "staging",
				Duration: metav1.Duration{Duration: 24 * time.Hour}, MaxAge: &metav1.Duration{Duration: 720 * time.Hour},
			},
		},
	}
	return g
}

// awaitReady waits until a contender admits a proven image and denies an unproven one: only
// then has it read its policies. It stops a contender that doesn't become ready.
func (w *fixture) awaitReady(ctx context.Context, c *contender) (*contender, error) {
	if err := w.awaitVerdicts(ctx, c); err != nil {
		c.Stop()
		return nil, fmt.Errorf("waiting until %s is ready: %w", c.title, err)
	}
	c.idleMemory = harness.Memory(c.PID())
	return c, nil
}

// awaitVerdicts waits until a contender admits a proven image and denies an unproven one.
func (w *fixture) awaitVerdicts(ctx context.Context, c *contender) error {
	unproven := w.compared[0][:len(w.compared[0])-8] + "00000000"
	return poll(ctx, func(ctx context.Context) error {
		if err := c.admit(ctx, reviewOf(c.namespace, 1, w.compared[0])); err != nil {
			return err
		}
		if err := c.admit(ctx, reviewOf(c.namespace, 1, unproven)); !errors.As(err, new(deniedError)) {
			return errors.Join(errors.New("an image that was never pushed isn't denied"), err)
		}
		return nil
	})
}

// register configures the API server to call a contender for pods in its namespace.
func (w *fixture) register(ctx context.Context, c *contender) error {
	fail, none, timeout := admissionregistrationv1.Fail, admissionregistrationv1.SideEffectClassNoneOnDryRun, int32(25)
	return w.create(ctx, &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "bench-" + c.namespace},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name:         "bench.example.com",
			ClientConfig: admissionregistrationv1.WebhookClientConfig{URL: &c.url, CABundle: c.ca},
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
				Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
			}},
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: c.namespace}},
			FailurePolicy:     &fail, SideEffects: &none, TimeoutSeconds: &timeout, AdmissionReviewVersions: []string{"v1"},
		}},
	})
}

// registerAndAwait registers a contender and waits until the API server calls it: the API
// server takes a while to load new configurations.
func (w *fixture) registerAndAwait(ctx context.Context, c *contender) error {
	if err := w.register(ctx, c); err != nil {
		return err
	}
	return poll(ctx, func(ctx context.Context) error {
		if err := w.client.Create(ctx, podOf(c.namespace, 1, "docker.io/library/unknown"), client.DryRunAll); err == nil {
			return errors.New("the API server doesn't call the webhook yet")
		}
		return w.client.Create(ctx, podOf(c.namespace, 1, w.compared[0]), client.DryRunAll)
	})
}

// startTheirs runs policy-controller's webhook with a limit on its requests to the API
// server. The policies must already exist.
func (w *fixture) startTheirs(ctx context.Context, title string, qps int) (*contender, error) {
	addresses, err := harness.FreeAddresses(ctx, 1)
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(addresses[0])
	c := &contender{title: title, Process: harness.Process{Path: w.policyController}}
	err = c.Start(ctx, []string{"-kubeconfig", w.kubeconfig, "-port", port, fmt.Sprintf("-qps=%d", qps)}, []string{
		"HOME=" + w.folder, "SYSTEM_NAMESPACE=" + theirNamespace, "METRICS_DOMAIN=sigstore.dev/policy",
		"CONFIG_LOGGING_NAME=config-logging", "CONFIG_OBSERVABILITY_NAME=config-observability", "WEBHOOK_NAME=localhost",
	}, func() error { return harness.Dial(ctx, "tcp", addresses[0]) })
	if err != nil {
		return nil, err
	}
	var ca []byte
	err = poll(ctx, func(ctx context.Context) error {
		var secret corev1.Secret
		if err := w.client.Get(ctx, types.NamespacedName{Namespace: theirNamespace, Name: "webhook-certs"}, &secret); err != nil {
			return err
		}
		if ca = secret.Data["ca-cert.pem"]; len(ca) == 0 {
			return errors.New("policy-controller hasn't created its certificate yet")
		}
		return nil
	})
	if err != nil {
		c.Stop()
		return nil, err
	}
	c.caller = newCaller("localhost:"+port, "/validations", theirChecked, ca)
	return w.awaitReady(ctx, c)
}

// tlsConfig returns a client configuration that trusts a CA.
func tlsConfig(ca []byte) *tls.Config {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
}
