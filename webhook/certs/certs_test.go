package certs

import (
	"path/filepath"
	"testing"

	"github.com/envladder/envladder/webhook/webhooktest"
)

func TestCertificates(t *testing.T) {
	t.Run("missing files are an error without a renewal", func(t *testing.T) {
		if _, err := New(optionsIn(t.TempDir())); err == nil {
			t.Error("New returns no error")
		}
	})
	t.Run("files that appear later are served with a renewal", func(t *testing.T) {
		folder := t.TempDir()
		options := optionsIn(folder)
		options.Renewal = &Renewal{}
		c, err := New(options)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Get(nil); err == nil {
			t.Error("Get returns a certificate that doesn't exist")
		}
		ended := make(chan error, 1)
		go func() { ended <- c.Run(t.Context()) }()
		if err := webhooktest.WriteCertificate(folder, "late"); err != nil {
			t.Fatal(err)
		}
		if err := webhooktest.WaitUntil(func() bool { _, err := c.Get(nil); return err == nil }); err != nil {
			t.Errorf("waiting for the certificate: %v", err)
		}
	})
}

func optionsIn(folder string) Options {
	return Options{CertFile: filepath.Join(folder, "tls.crt"), KeyFile: filepath.Join(folder, "tls.key")}
}
