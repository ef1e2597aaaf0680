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

// registryCommands are the commands of scripts that need a registry, images in it, and
// keys.
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

// scriptRegistry is a script's registry and forge, once it has them.
type scriptRegistry struct {
	*registrytest.Server

	forge *promotetest.Forge
}

func registryOf(ts *testscript.TestScript) *scriptRegistry {
	return ts.Value(scriptRegistry{}).(*scriptRegistry) // Setup put it there
}

// startRegistry is `registry`: an empty one, whose host is $REGISTRY from then on.
func startRegistry(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 0, "registry")
	server := registrytest.Start(scriptT{ts}, registrytest.WithReferrers)
	registryOf(ts).Server = server
	ts.Setenv("REGISTRY", server.Host)
}

// pushImage is `image REPOSITORY NAME`: a new image, whose reference by digest is $NAME,
// and its digest alone $NAME_DIGEST. Where NAME is INDEX, it is an index of two platforms.
func pushImage(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 2, "image REPOSITORY NAME")
	server := registryOf(ts)
	if server.Server == nil {
		ts.Fatalf("image: no registry runs")
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

// pushChart is `chart DIR NAME`: the chart whose folder is all that DIR has, packaged; its
// address in the registry is $NAME.
func pushChart(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 2, "chart DIR NAME")
	server := registryOf(ts)
	if server.Server == nil {
		ts.Fatalf("chart: no registry runs")
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

// stopRegistry is `down`: connections are refused from then on.
func stopRegistry(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 0, "down")
	registryOf(ts).Stop()
}

// writeKeypair is `keypair NAME`: NAME.key and NAME.enc (cosign's form, its password is
// "secret"), and the public key, quoted, in $NAME_PUB.
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

// startSigstore is `sigstore NAME…`: a certificate authority at $FULCIO, a timestamping
// authority at $TSA, their trusted root in roots/corp.json, and a token in NAME.token for
// NAME@example.com, issued by $ISSUER.
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

// expandFile is `expand FILE…`: ${NAME} in it becomes what NAME is in the environment.
func expandFile(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) > 0, "expand FILE…")
	for _, file := range args {
		expanded := os.Expand(ts.ReadFile(file), ts.Getenv)
		ts.Check(os.WriteFile(ts.MkAbs(file), []byte(expanded), 0o600))
	}
}

func usage(ts *testscript.TestScript, neg, right bool, text string) {
	if neg || !right {
		ts.Fatalf("usage: %s", text)
	}
}

// scriptT is a script's test as registrytest takes it.
type scriptT struct{ ts *testscript.TestScript }

func (t scriptT) Helper()                {}
func (t scriptT) Fatal(arguments ...any) { t.ts.Fatalf("%v", arguments) }
func (t scriptT) Cleanup(clean func())   { t.ts.Defer(clean) }
