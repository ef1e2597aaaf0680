package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"
	"time"

	"github.com/open-policy-agent/cert-controller/pkg/rotator"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/certwatcher"
)

// Renewal lets the webhook make its certificate by itself, and renew it.
type Renewal struct {
	// Secret that holds the certificate and its CA, and is mounted where
	// Config.CertFile and KeyFile are. It must be there; it may be empty.
	Secret types.NamespacedName
	// Configuration is the ValidatingWebhookConfiguration that gets the CA.
	Configuration string
	// Host that the certificate is for: NAME.NAMESPACE.svc of the Service.
	Host string

	name string // of the controller, where a process has several
}

// addRenewal makes the manager renew the certificate. All replicas may: they write the
// Secret that they have read, or not at all.
func addRenewal(manager ctrl.Manager, renewal Renewal, folder string) error {
	err := rotator.AddRotator(manager, &rotator.CertRotator{
		ControllerName: renewal.name,
		SecretKey:      renewal.Secret,
		CertDir:        folder,
		CAName:         "envladder-webhook-ca",
		CAOrganization: "envladder",
		DNSName:        renewal.Host,
		IsReady:        make(chan struct{}),
		Webhooks:       []rotator.WebhookInfo{{Name: renewal.Configuration, Type: rotator.Validating}},
	})
	if err != nil {
		return fmt.Errorf("setting up the certificate's renewal: %w", err)
	}
	return nil
}

// certificates are read from files, and again when these change.
type certificates struct {
	certFile, keyFile string
	watcher           atomic.Pointer[certwatcher.CertWatcher]
}

// newCertificates reads the files. They may come later where the webhook makes them.
func newCertificates(config Config) (*certificates, error) {
	c := &certificates{certFile: config.CertFile, keyFile: config.KeyFile}
	if err := c.open(); err != nil && (config.Renewal == nil || !errors.Is(err, fs.ErrNotExist)) {
		return nil, err
	}
	return c, nil
}

func (c *certificates) open() error {
	watcher, err := certwatcher.New(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("reading the certificate %q and its key %q: %w", c.certFile, c.keyFile, err)
	}
	c.watcher.Store(watcher)
	return nil
}

// appearInterval is how often files that aren't there yet are looked for. A kubelet takes
// up to a minute or two to bring a Secret's change into a pod.
const appearInterval = time.Second

// run watches the files until ctx ends, once they are there.
func (c *certificates) run(ctx context.Context) error {
	tick := time.NewTicker(appearInterval)
	defer tick.Stop()
	for c.watcher.Load() == nil {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := c.open(); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return c.watcher.Load().Start(ctx)
}

func (c *certificates) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	watcher := c.watcher.Load()
	if watcher == nil {
		return nil, errors.New("there is no certificate yet")
	}
	return watcher.GetCertificate(hello)
}
