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
	"testing"

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
