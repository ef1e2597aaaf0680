package interop_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/envladder/envladder/test/bed"
)

// services is a private sigstore: a CA and the log of its certificates, a log of signatures,
// and a timestamping authority. Clients find them by a trusted root and a signing
// configuration.
type services struct {
	*issuer

	bed *bed.Bed
	dir string

	fulcio, certificates, rekor, stamps string // URLs
	trustedRoot, signingConfig          string // files
}

// logOrigin is the origin of the logs in their checkpoints. Verifiers of Rekor 2 require the
// host of the URL in the trusted root.
const logOrigin = "127.0.0.1"

// startServices starts all services.
func startServices(ctx context.Context, b *bed.Bed) (*services, error) {
	issuer, err := newIssuer(b.CA)
	if err != nil {
		return nil, err
	}
	s := &services{issuer: issuer, bed: b, dir: filepath.Join(b.Dir, "sigstore")}
	if err := os.MkdirAll(s.path("roots"), 0o700); err != nil {
		return nil, err
	}
	for _, start := range []func(context.Context) error{s.startFulcio, s.startCertificateLog, s.startRekor, s.startTimestampAuthority, s.describe} {
		if err := start(ctx); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// path returns a path in the folder of the services.
func (s *services) path(name string) string { return filepath.Join(s.dir, name) }

// startFulcio starts Fulcio. It also chooses the address of the certificate log, which can only
// start after Fulcio.
func (s *services) startFulcio(ctx context.Context) error {
	text := fmt.Sprintf("oidc-issuers:\n  %[1]s: {issuer-url: %[1]q, client-id: sigstore, type: email}\n", s.url)
	if err := os.WriteFile(s.path("fulcio.yaml"), []byte(text), 0o600); err != nil {
		return err
	}
	var port, grpcPort, metricsPort, logPort string
	if err := freePorts(&port, &grpcPort, &metricsPort, &logPort); err != nil {
		return err
	}
	s.fulcio, s.certificates = "http://127.0.0.1:"+port, "http://127.0.0.1:"+logPort
	if err := s.run(ctx, s.fulcio+"/healthz", bed.Process{
		Name: "fulcio",
		Env:  []string{"SSL_CERT_FILE=" + s.bed.CA.File}, // for the issuer
		Args: []string{
			"serve", "--ca=ephemeralca", "--config-path=" + s.path("fulcio.yaml"), "--ct-log-url=" + s.certificates,
			"--host=127.0.0.1", "--port=" + port, "--grpc-host=127.0.0.1", "--grpc-port=" + grpcPort, "--metrics-port=" + metricsPort,
			"--legacy-unix-domain-socket=@envladder-fulcio-" + port,
		},
	}); err != nil {
		return err
	}
	return download(ctx, s.fulcio+"/api/v1/rootCert", s.path("fulcio.pem"))
}

// startCertificateLog starts the certificate log.
func (s *services) startCertificateLog(ctx context.Context) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	if err := s.writeKeys("certificates", "EC PRIVATE KEY", der, key.Public()); err != nil {
		return err
	}
	return s.run(ctx, s.certificates+"/ct/v1/get-roots", bed.Process{Name: "tesseract", Args: []string{
		"-http_endpoint=" + strings.TrimPrefix(s.certificates, "http://"), "-origin=" + logOrigin, "-storage_dir=" + s.path("certificates"), "-private_key=" + s.path("certificates.key"),
		"-roots_pem_file=" + s.path("fulcio.pem"), "-checkpoint_interval=1s", // the shortest
	}})
}

// startRekor starts Rekor 2.
func (s *services) startRekor(ctx context.Context) error {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	if err := s.writeKeys("rekor", "PRIVATE KEY", der, public); err != nil {
		return err
	}
	var port, grpcPort, metricsPort string
	if err := freePorts(&port, &grpcPort, &metricsPort); err != nil {
		return err
	}
	s.rekor = "http://127.0.0.1:" + port
	return s.run(ctx, s.rekor+"/healthz", bed.Process{Name: "rekor", Args: []string{
		"serve", "--hostname=" + logOrigin, "--storage-dir=" + s.path("log"), "--signer-filepath=" + s.path("rekor.key"),
		"--http-port=" + port, "--grpc-port=" + grpcPort, "--http-metrics-port=" + metricsPort,
		"--checkpoint-interval=1s", // a response waits for a checkpoint; the default is 10s
	}})
}

// startTimestampAuthority starts the timestamping authority. Its metrics need port 2112, since
// the program has no flag for it.
func (s *services) startTimestampAuthority(ctx context.Context) error {
	var port string
	if err := freePorts(&port); err != nil {
		return err
	}
	s.stamps = "http://127.0.0.1:" + port + "/api/v1/timestamp"
	if err := s.run(ctx, "http://127.0.0.1:"+port+"/ping", bed.Process{Name: "timestamp-server", Args: []string{
		"serve", "--host=127.0.0.1", "--port=" + port, "--timestamp-signer=memory", "--disable-ntp-monitoring",
	}}); err != nil {
		return err
	}
	return download(ctx, s.stamps+"/certchain", s.path("tsa.pem"))
}

// describe writes the trusted root and the signing configuration with cosign.
func (s *services) describe(ctx context.Context) error {
	s.trustedRoot, s.signingConfig = filepath.Join(s.roots(), "corp.json"), s.path("signing-config.json")
	since := ",start-time=" + time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	if _, err := cosign(ctx, s.bed, "trusted-root", "create", "--out", s.trustedRoot,
		"--fulcio", "url="+s.fulcio+",certificate-chain="+s.path("fulcio.pem"),
		"--ctfe", "url="+s.certificates+",public-key="+s.path("certificates.pub")+since,
		"--rekor", "url="+s.rekor+",public-key="+s.path("rekor.pub")+",origin="+logOrigin+since,
		"--tsa", "url="+s.stamps+",certificate-chain="+s.path("tsa.pem")); err != nil {
		return err
	}
	one, two := ",operator=test,api-version=1"+since, ",operator=test,api-version=2"+since
	_, err := cosign(ctx, s.bed, "signing-config", "create", "--out", s.signingConfig,
		"--fulcio", "url="+s.fulcio+one, "--oidc-provider", "url="+s.url+one,
		"--rekor", "url="+s.rekor+two, "--rekor-config", "ANY",
		"--tsa", "url="+s.stamps+one, "--tsa-config", "ANY")
	return err
}

// roots returns the folder of trusted roots, as a webhook mounts it.
func (s *services) roots() string { return s.path("roots") }

// run starts a program and waits until it is ready.
func (s *services) run(ctx context.Context, ready string, p bed.Process) (err error) {
	if p.Path, err = s.bed.Program(ctx, p.Name); err != nil {
		return err
	}
	p.Ready = s.bed.HTTPReady(ready)
	_, err = s.bed.Run(ctx, p)
	return err
}

// writeKeys writes a key pair.
func (s *services) writeKeys(name, kind string, private []byte, public crypto.PublicKey) error {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return err
	}
	if err := os.WriteFile(s.path(name+".key"), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: private}), 0o600); err != nil {
		return err
	}
	return os.WriteFile(s.path(name+".pub"), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600)
}

// freePorts sets each of the ports to a free port.
func freePorts(ports ...*string) error {
	for _, port := range ports {
		number, err := bed.FreePort()
		if err != nil {
			return err
		}
		*port = strconv.Itoa(number)
	}
	return nil
}

// maxChain is far more than the size of a certificate chain.
const maxChain = 64 << 10

// download writes the response of a GET to a file.
func download(ctx context.Context, url, file string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(io.LimitReader(response.Body, maxChain))
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("getting %q: %s: %s", url, response.Status, content)
	}
	return os.WriteFile(file, content, 0o600)
}
