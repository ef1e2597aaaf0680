package certs

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/open-policy-agent/cert-controller/pkg/rotator"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/certwatcher"
)

// Options of the certificate.
type Options struct {
	// CertFile and KeyFile are PEM files. They are read again when they change.
	CertFile, KeyFile string
	// Renewal makes the webhook issue and renew the certificate itself; nil: the files
	// come from elsewhere.
	Renewal *Renewal
}

// Renewal configures a certificate that the webhook issues and renews itself.
type Renewal struct {
	// Secret that stores the certificate and its CA, and that is mounted where CertFile
	// and KeyFile are. It must exist; it may be empty.
	Secret types.NamespacedName
	// Configuration is the ValidatingWebhookConfiguration that gets the CA.
	Configuration string
	// Host that the certificate is for: NAME.NAMESPACE.svc of the Service.
	Host string
	// ControllerName of the renewal; needed where a process has several.
	ControllerName string
}

// AddRenewal makes the manager renew the certificate; it does nothing without a Renewal.
// Every replica may renew: each updates the version of the Secret that it has read, or
// fails with a conflict.
func AddRenewal(manager ctrl.Manager, options Options) error {
	renewal := options.Renewal
	if renewal == nil {
		return nil
	}
	err := rotator.AddRotator(manager, &rotator.CertRotator{
		ControllerName: renewal.ControllerName,
		SecretKey:      renewal.Secret,
		CertDir:        filepath.Dir(options.CertFile),
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

// Certificates is the certificate in the files, as last read.
type Certificates struct {
	options Options
	watcher atomic.Pointer[certwatcher.CertWatcher] // nil until the files exist
}

// New reads the files. With a Renewal they may appear later.
func New(options Options) (*Certificates, error) {
	c := &Certificates{options: options}
	if err := c.open(); err != nil && (options.Renewal == nil || !errors.Is(err, fs.ErrNotExist)) {
		return nil, err
	}
	return c, nil
}

func (c *Certificates) open() error {
	watcher, err := certwatcher.New(c.options.CertFile, c.options.KeyFile)
	if err != nil {
		return fmt.Errorf("reading the certificate %q and its key %q: %w", c.options.CertFile, c.options.KeyFile, err)
	}
	c.watcher.Store(watcher)
	return nil
}

// appearInterval is the time between two attempts to read files that don't exist yet. A
// kubelet takes up to a minute or two to bring a change of a Secret into a pod.
const appearInterval = time.Second

// Run waits until the files exist, then watches them until ctx ends.
func (c *Certificates) Run(ctx context.Context) error {
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

// Get returns the current certificate, as tls.Config.GetCertificate requires.
func (c *Certificates) Get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	watcher := c.watcher.Load()
	if watcher == nil {
		return nil, errors.New("no certificate yet")
	}
	return watcher.GetCertificate(hello)
}
