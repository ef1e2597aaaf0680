package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/sigstore/sigstore/pkg/cryptoutils"

	"github.com/envladder/envladder/internal/evidence/sigstoretest"
	"github.com/envladder/envladder/internal/registry/registrytest"
	"github.com/envladder/envladder/promote/promotetest"
)

// TestMain makes `envladder` a command of the scripts, which runs this binary.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"envladder": main})
}

// TestScripts runs testdata/script/*.txtar, each a terminal session; a file's name
// begins with its command. $EXAMPLES is the repository's folder examples. `exits N CMD`
// runs a command that must exit with N; `shape FROM TO` writes the fields of a JSON document
// to a file. UPDATE=1 rewrites the files that a script compares with.
// script_registry_test.go and script_git_test.go have more commands.
func TestScripts(t *testing.T) {
	commands := withCommands(registryCommands(), gitCommands())
	commands["exits"] = exits
	commands["shape"] = shape
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       os.Getenv("UPDATE") != "",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds:                commands,
		Setup: func(env *testscript.Env) error {
			examples, err := filepath.Abs("../../examples")
			env.Setenv("EXAMPLES", examples)
			env.Values[scriptRegistry{}] = &scriptRegistry{}
			return err
		},
	})
}

// exits implements `exits N CMD ARG…`: testscript's exec only distinguishes success from
// failure, and the scripts need to distinguish 1 (no) from 2 (failed).
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits N CMD ARG…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("running %s: %v", args[1], err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("%s exited with %d, want %d", args[1], got, want)
	}
}

// shape implements `shape FROM TO`: it writes a line with the path and the type of each field
// of the JSON document FROM to TO. Users' scripts rely on these.
func shape(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 2, "shape FROM TO")
	var document any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &document))
	fields := map[string]bool{}
	collect(fields, "", document)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(strings.Join(slices.Sorted(maps.Keys(fields)), "\n")+"\n"), 0o600))
}

// collect adds the fields below a value.
func collect(fields map[string]bool, path string, value any) {
	switch v := value.(type) {
	case map[string]any:
		for key, inner := range v {
			collect(fields, strings.TrimPrefix(path+"."+key, "."), inner)
		}
	case []any:
		fields[path+"[]"] = true
		for _, inner := range v {
			collect(fields, path+"[]", inner)
		}
	default:
		fields[fmt.Sprintf("%s %T", path, v)] = true
	}
}

// gitCommands returns the commands of scripts for a forge and its repository.
func gitCommands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"forge":  startForge,
		"pulls":  listPulls,
		"drafts": draftPrefix,
		"hook":   writeHook,
		"crlf":   toCRLF,
		"chomp":  chomp,
		"git":    runGit,
		"commit": commitAsAnother,
		"await":  awaitFile,
	}
}

// startForge implements `forge DIR`: it starts a forge with the repository team/gitops, which
// has the files of DIR on branch main, and clones it to the folder clone. It sets $FORGE to the
// URL, $ORIGIN to the repository on disk, and $GITEA_TOKEN to the token.
func startForge(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "forge DIR")
	t := scriptT{ts}
	f := promotetest.StartForge(t)
	files := map[string]string{}
	dir := ts.MkAbs(args[0])
	ts.Check(filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		files[filepath.ToSlash(name)] = ts.ReadFile(path)
		return err
	}))
	bare := filepath.Join(f.Root, "team", "gitops.git")
	promotetest.Bare(t, bare, files)
	promotetest.Git(t, ts.MkAbs("."), "clone", "--quiet", f.URL+"/team/gitops.git", "clone")
	temporary := ts.MkAbs("tmp")
	ts.Check(os.MkdirAll(temporary, 0o750))
	for name, value := range map[string]string{
		"FORGE": f.URL, "ORIGIN": bare, "GITEA_TOKEN": promotetest.Token, "TMPDIR": temporary, "HOME": ts.MkAbs("."),
		"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.DevNull,
		"GIT_AUTHOR_NAME": "Ana", "GIT_AUTHOR_EMAIL": "ana@example.com", "GIT_COMMITTER_NAME": "Ana", "GIT_COMMITTER_EMAIL": "ana@example.com",
	} {
		ts.Setenv(name, value)
	}
	registryOf(ts).forge = f
}

// listPulls implements `pulls FILE`: it writes the titles and texts of all pull requests to a
// file.
func listPulls(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "pulls FILE")
	var text strings.Builder
	for _, p := range registryOf(ts).forge.PullRequests() {
		text.WriteString(p.State + " " + p.Head + " -> " + p.Base + ": " + p.Title + "\n" + p.Body + "\n")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text.String()), 0o600))
}

// draftPrefix implements `drafts PREFIX`: it sets the prefix of a draft's title.
func draftPrefix(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "drafts PREFIX")
	registryOf(ts).forge.DraftPrefix(args[0])
}

// writeHook implements `hook NAME FILE`: it installs a hook in the origin.
func writeHook(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 2, "hook NAME FILE")
	ts.Check(os.WriteFile(filepath.Join(ts.Getenv("ORIGIN"), "hooks", args[0]), []byte(ts.ReadFile(args[1])), 0o700))
}

// toCRLF implements `crlf FILE…`: it converts line endings to those of Windows.
func toCRLF(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) > 0, "crlf FILE…")
	for _, file := range args {
		ts.Check(os.WriteFile(ts.MkAbs(file), []byte(strings.ReplaceAll(ts.ReadFile(file), "\n", "\r\n")), 0o600))
	}
}

// chomp implements `chomp FILE…`: it removes the line ending of the last line.
func chomp(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) > 0, "chomp FILE…")
	for _, file := range args {
		ts.Check(os.WriteFile(ts.MkAbs(file), []byte(strings.TrimRight(ts.ReadFile(file), "\r\n")), 0o600))
	}
}

// runGit implements `git DIR ARG…`: it runs git with an identity, and logs its output.
func runGit(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) > 1, "git DIR ARG…")
	ts.Logf("%s", promotetest.Git(scriptT{ts}, ts.MkAbs(args[0]), args[1:]...))
}

// commitAsAnother implements `commit BRANCH NAME FILE`: another author commits a file to a
// branch.
func commitAsAnother(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 3, "commit BRANCH NAME FILE")
	promotetest.CommitTo(scriptT{ts}, ts.Getenv("ORIGIN"), args[0], "by another", map[string]string{args[1]: ts.ReadFile(args[2])})
}

// awaitFile implements `await FILE`: it waits up to 30 s until the file exists.
func awaitFile(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "await FILE")
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(ts.MkAbs(args[0])); err == nil {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("%s doesn't exist after 30 s", args[0])
		}
	}
}

// withCommands merges maps of commands.
func withCommands(all ...map[string]func(*testscript.TestScript, bool, []string)) map[string]func(*testscript.TestScript, bool, []string) {
	merged := map[string]func(*testscript.TestScript, bool, []string){}
	for _, some := range slices.Backward(all) {
		maps.Copy(merged, some)
	}
	return merged
}

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
