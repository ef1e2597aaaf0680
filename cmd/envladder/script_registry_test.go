package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"os"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/sigstore/sigstore/pkg/cryptoutils"

	"github.com/envladder/envladder/internal/evidence/sigstoretest"
	"github.com/envladder/envladder/internal/registry/registrytest"
	"github.com/envladder/envladder/promote/promotetest"
)

// registryCommands returns the commands of scripts for a registry, images in it, and keys.
func registryCommands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"registry": startRegistry,
		"image":    pushImage,
		"chart":    pushChart,
		"down":     stopRegistry,
		"keypair":  writeKeypair,
		"expand":   expandFile,
		"sigstore": startSigstore,
	}
}

// scriptRegistry is a script's registry and forge, nil until the script starts them.
type scriptRegistry struct {
	*registrytest.Server

	forge *promotetest.Forge
}

// registryOf returns the registry of a script.
func registryOf(ts *testscript.TestScript) *scriptRegistry {
	return ts.Value(scriptRegistry{}).(*scriptRegistry) // Setup put it there
}

// startRegistry implements `registry`: it starts an empty registry, and sets $REGISTRY to its
// host.
func startRegistry(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 0, "registry")
	server := registrytest.Start(scriptT{ts}, registrytest.WithReferrers)
	registryOf(ts).Server = server
	ts.Setenv("REGISTRY", server.Host)
}

// pushImage implements `image REPOSITORY NAME`: it pushes a new image, and sets $NAME to its
// reference by digest and $NAME_DIGEST to its digest. For the name INDEX it pushes an index of
// two platforms.
func pushImage(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 2, "image REPOSITORY NAME")
	server := registryOf(ts)
	if server.Server == nil {
		ts.Fatalf("image: no registry is running")
	}
	var digest string
	if args[1] == "INDEX" {
		digest, _ = server.Index(scriptT{ts}, args[0], "linux/amd64", "linux/arm64")
	} else {
		digest = server.Image(scriptT{ts}, args[0])
	}
	ts.Setenv(args[1], server.Name(args[0])+"@"+digest)
	ts.Setenv(args[1]+"_DIGEST", digest)
}

// pushChart implements `chart DIR NAME`: it packages and pushes the chart whose folder is the
// only content of DIR, and sets $NAME to its address in the registry.
func pushChart(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 2, "chart DIR NAME")
	server := registryOf(ts)
	if server.Server == nil {
		ts.Fatalf("chart: no registry is running")
	}
	var packed bytes.Buffer
	zipped := gzip.NewWriter(&packed)
	files := tar.NewWriter(zipped)
	ts.Check(files.AddFS(os.DirFS(ts.MkAbs(args[0]))))
	ts.Check(files.Close())
	ts.Check(zipped.Close())
	const repository = "charts/pushed"
	digest := server.Attach(scriptT{ts}, repository, server.Image(scriptT{ts}, repository),
		"application/vnd.cncf.helm.chart.content.v1.tar+gzip", packed.Bytes(), nil)
	ts.Setenv(args[1], "oci://"+server.Name(repository)+"@"+digest)
}

// stopRegistry implements `down`: it stops the registry, so that connections are refused.
func stopRegistry(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 0, "down")
	registryOf(ts).Stop()
}

// writeKeypair implements `keypair NAME`: it writes a private key to NAME.key and NAME.enc
// (cosign's format, with the password "secret"), and sets $NAME_PUB to the quoted public key.
func writeKeypair(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "keypair NAME")
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	plain, err := cryptoutils.MarshalPrivateKeyToPEM(private)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".key"), plain, 0o600))
	encrypted, err := cryptoutils.MarshalPrivateKeyToEncryptedDER(private, cryptoutils.StaticPasswordFunc([]byte("secret")))
	ts.Check(err)
	encryptedPEM := cryptoutils.PEMEncode(cryptoutils.EncryptedSigstorePrivateKeyPEMType, encrypted)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".enc"), encryptedPEM, 0o600))
	public, err := cryptoutils.MarshalPublicKeyToPEM(private.Public())
	ts.Check(err)
	quoted, err := json.Marshal(string(public))
	ts.Check(err)
	ts.Setenv(strings.ToUpper(args[0])+"_PUB", string(quoted))
}

// startSigstore implements `sigstore NAME…`: it starts a certificate authority at $FULCIO and a
// timestamping authority at $TSA, and writes their trusted root to roots/corp.json and a token
// of $ISSUER for NAME@example.com to NAME.token.
func startSigstore(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) > 0, "sigstore NAME…")
	s := sigstoretest.Start(scriptT{ts})
	ts.Setenv("FULCIO", s.FulcioURL)
	ts.Setenv("TSA", s.TimestampURL)
	ts.Setenv("ISSUER", sigstoretest.Issuer)
	ts.Check(os.MkdirAll(ts.MkAbs("roots"), 0o700))
	ts.Check(os.WriteFile(ts.MkAbs("roots/corp.json"), s.TrustedRoot, 0o600))
	for _, name := range args {
		ts.Check(os.WriteFile(ts.MkAbs(name+".token"), []byte(s.Token(name+"@example.com")+"\n"), 0o600))
	}
}

// expandFile implements `expand FILE…`: it replaces ${NAME} with the environment variable NAME.
func expandFile(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) > 0, "expand FILE…")
	for _, file := range args {
		expanded := os.Expand(ts.ReadFile(file), ts.Getenv)
		ts.Check(os.WriteFile(ts.MkAbs(file), []byte(expanded), 0o600))
	}
}

// usage fails the script unless its command is used correctly.
func usage(ts *testscript.TestScript, neg, right bool, text string) {
	if neg || !right {
		ts.Fatalf("usage: %s", text)
	}
}

// scriptT is a script as a test of registrytest.
type scriptT struct{ ts *testscript.TestScript }

func (t scriptT) Helper()                {}
func (t scriptT) Fatal(arguments ...any) { t.ts.Fatalf("%v", arguments) }
func (t scriptT) Cleanup(clean func())   { t.ts.Defer(clean) }
