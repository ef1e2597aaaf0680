package interop_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/envladder/envladder/test/bed"
)

// startKMS starts a KMS with AWS' protocol and returns the URI of a key that doesn't exist yet.
// A proxy adds HTTPS, which clients require and the KMS lacks.
func startKMS(ctx context.Context, t *testing.T, b *bed.Bed) (uri string, process *bed.Running) {
	t.Helper()
	path, err := b.Program(ctx, "local-kms")
	check(t, err)
	var port string
	check(t, freePorts(&port))
	address := "127.0.0.1:" + port
	process, err = b.Run(ctx, bed.Process{
		Name: "local-kms", Path: path, Env: []string{"PORT=" + port, "KMS_DATA_PATH=" + filepath.Join(b.Dir, "kms")},
		Ready: func(ctx context.Context) error { // it has no health endpoint
			connection, err := new(net.Dialer).DialContext(ctx, "tcp", address)
			if err != nil {
				return err
			}
			return connection.Close()
		},
	})
	check(t, err)
	pair, err := b.CA.Server("kms")
	check(t, err)
	certificate, err := tls.X509KeyPair(pair.Cert, pair.Key)
	check(t, err)
	front := httptest.NewUnstartedServer(httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: address}))
	front.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	front.StartTLS()
	t.Cleanup(front.Close)
	return "awskms://" + strings.TrimPrefix(front.URL, "https://") + "/alias/ci", process
}

const kmsGate = `apiVersion: envladder.dev/v1alpha1
kind: Gate
metadata: {name: shop-prod}
spec:
  environment: prod
  namespaces: [shop]
  images:
  - {repository: %[2]q, ladder: shop}
  signers:
  - {name: ci, kms: %[1]q}
  requires:
    signature: {by: [ci]}
    approvals: {by: [ci]}
`

// TestKMS checks that cosign and envladder sign with a key in a KMS, which a Gate names by its
// URI. While the KMS is down and the public key is unknown, signatures with the key aren't
// accepted.
func TestKMS(t *testing.T) {
	uri, kms := startKMS(t.Context(), t, shared)
	i := newImage(t, &services{bed: shared, dir: t.TempDir()}, shared.Registry("main"))
	i.gate = i.file("gate.yaml", fmt.Sprintf(kmsGate, uri, i.repository))
	_, err := cosign(t.Context(), i.bed, "generate-key-pair", "--kms", uri)
	check(t, err)
	check(t, i.cosign("sign", "-y", "--key", uri, "--use-signing-config=false", "--tlog-upload=false"))
	i.wantCodes("NoApproval")
	i.attest("approval", "--environment", "prod", "--key", uri)
	i.wantCodes("")
	check(t, i.cosign("verify-attestation", "--key", uri, "--insecure-ignore-tlog", "--type", approvalType))

	kms.Stop()
	i.wantCodes("NoApproval NoSignature SignerUnavailable")
}
