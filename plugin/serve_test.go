package plugin_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/argoproj/argo-cd/v2/cmpserver/apiclient"
	"github.com/argoproj/argo-cd/v2/util/cmp"
	gocmp "github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/envladder/envladder/internal/logtest"
	"github.com/envladder/envladder/plugin"
	"github.com/envladder/envladder/plugin/archive"
	"github.com/envladder/envladder/plugin/worker/workertest"
)

// served is a running plugin.
type served struct {
	socket string
	logs   *logtest.Buffer
	// stop ends Serve and returns its error.
	stop func() error
}

// maxRequests is the limit of the plugins that the tests start.
const maxRequests = 2

func serve(t *testing.T, limits archive.Limits) *served {
	t.Helper()
	return serveIn(t, t.TempDir(), limits)
}

func serveIn(t *testing.T, folder string, limits archive.Limits) *served {
	t.Helper()
	config := newConfig(folder)
	config.Limits, config.MaxRequests = limits, maxRequests
	return serveConfig(t, config)
}

// newConfig returns the configuration of a plugin that serves in folder.
func newConfig(folder string) plugin.Config {
	config := plugin.DefaultConfig()
	config.Folder, config.Name, config.RenderMemory = folder, "envladder", workertest.Memory
	config.Log = slog.New(slog.DiscardHandler)
	return config
}

func serveConfig(t *testing.T, config plugin.Config) *served {
	t.Helper()
	s := &served{socket: filepath.Join(config.Folder, "envladder.sock"), logs: &logtest.Buffer{}}
	config.Log = slog.New(slog.NewTextHandler(s.logs, nil))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- plugin.Serve(ctx, config)
	}()
	s.stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Errorf("serving: %v", err)
		}
	})
	for range 500 {
		if conn, err := net.Dial("unix", s.socket); err == nil {
			conn.Close()
			return s
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("Serve returned: %v", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
	t.Fatal("the plugin doesn't listen after 5 s")
	return nil
}

// client returns the repo-server's client.
func (s *served) client(t *testing.T) apiclient.ConfigManagementPluginServiceClient {
	t.Helper()
	conn, client, err := apiclient.NewConfigManagementPluginClientSet(s.socket).NewConfigManagementPluginClient()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return client
}

// generate sends root with Argo CD's code and returns the manifests.
func (s *served) generate(t *testing.T, root, app string, env ...string) ([]string, error) {
	t.Helper()
	stream, err := s.client(t).GenerateManifest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := cmp.SendRepoStream(t.Context(), filepath.Join(root, app), root, stream, env, nil); err != nil {
		t.Fatalf("sending: %v", err)
	}
	response, err := stream.CloseAndRecv()
	if err != nil {
		return nil, err
	}
	return response.Manifests, nil
}

// newRepository creates a GitOps repository on disk.
func newRepository(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range map[string]string{
		"org/values.yaml":       "team: payments\n",
		"other/values.yaml":     "team: others\n",
		".git/HEAD":             "ref: refs/heads/main\n",
		"gitops/shop/prod.yaml": "replicas: 3\n",
		"gitops/shop/pins.yaml": "images:\n  web: sha256:" + strings.Repeat("1", 64) + "\n",
		"gitops/shop/ladder.yaml": `apiVersion: envladder.dev/v1alpha1
kind: Ladder
metadata: {name: shop}
spec:
  chart: chart
  images:
  - {name: web, repository: registry.example.com/shop/web, valuesPath: image}
  layers: [../../org/values.yaml]
  environments:
  - {name: local}
  - {name: prod, layers: [prod.yaml], targets: [{name: eu, pins: pins.yaml}, {name: us, pins: pins-us.yaml}]}
`,
		"gitops/shop/chart/Chart.yaml": "apiVersion: v2\nname: shop\nversion: 1.0.0\n",
		"gitops/shop/chart/templates/deployment.yaml": `apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
  namespace: {{ .Release.Namespace }}
  labels: {team: {{ .Values.team }}, kube: {{ .Capabilities.KubeVersion }}}
spec:
  replicas: {{ .Values.replicas }}
  template:
    spec:
      containers:
      - name: web
        image: {{ .Values.image.repository }}@{{ .Values.image.digest }}
`,
	} {
		writeFile(t, filepath.Join(root, name), content)
	}
	return root
}

func writeFile(t *testing.T, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

const app = "gitops/shop"

// argoEnv returns the environment that a repo-server sends.
func argoEnv(parameters string, more ...string) []string {
	return append([]string{
		"ARGOCD_APP_NAME=argocd_shop-prod-eu", "ARGOCD_APP_NAMESPACE=shop", "ARGOCD_APP_SOURCE_PATH=" + app,
		"KUBE_VERSION=1.34.4", "KUBE_API_VERSIONS=v1,apps/v1,apps/v1/Deployment",
		"ARGOCD_APP_PARAMETERS=" + parameters,
	}, more...)
}

const prodEU = `[{"name":"environment","string":"prod"},{"name":"target","string":"eu"}]`

const wantProdEU = `# Source: shop/templates/deployment.yaml
apiVersion: apps/v1
kind: Deployment
metadata:
  name: shop-prod-eu
  namespace: shop
  labels: {team: payments, kube: v1.34.4}
  annotations:
    envladder.dev/ladder: shop
    envladder.dev/environment: prod
    envladder.dev/target: eu
    envladder.dev/chart-digest: DIGEST
spec:
  replicas: 3
  template:
    spec:
      containers:
      - name: web
        image: registry.example.com/shop/web@sha256:1111111111111111111111111111111111111111111111111111111111111111
    metadata:
      annotations:
        envladder.dev/ladder: shop
        envladder.dev/environment: prod
        envladder.dev/target: eu
`

// withDigest inserts the chart's digest, recomputed from its definition, into want.
func withDigest(t *testing.T, root, want string) string {
	t.Helper()
	var lines strings.Builder
	for _, name := range []string{"Chart.yaml", "templates/deployment.yaml"} {
		data, err := os.ReadFile(filepath.Join(root, app, "chart", name))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&lines, "%x  %s\n", sha256.Sum256(data), name)
	}
	return strings.ReplaceAll(want, "DIGEST", fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(lines.String()))))
}

func TestServeToArgoCD(t *testing.T) {
	s := serve(t, archive.DefaultLimits)
	root := newRepository(t)

	t.Run("no discovery", func(t *testing.T) {
		response, err := s.client(t).CheckPluginConfiguration(t.Context(), &emptypb.Empty{})
		if err != nil {
			t.Fatal(err)
		}
		if response.IsDiscoveryConfigured || response.ProvideGitCreds {
			t.Errorf("got %v", response)
		}
	})
	t.Run("manifests", func(t *testing.T) {
		got, err := s.generate(t, root, app, argoEnv(prodEU)...)
		if err != nil {
			t.Fatal(err)
		}
		if diff := gocmp.Diff([]string{withDigest(t, root, wantProdEU)}, got); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
	t.Run("common folder of manifest-generate-paths", func(t *testing.T) {
		whole, err := s.generate(t, root, app, argoEnv(prodEU)...)
		if err != nil {
			t.Fatal(err)
		}
		sibling := newRepository(t)
		writeFile(t, filepath.Join(sibling, "gitops/org.yaml"), "team: payments\n")
		replace(t, filepath.Join(sibling, app, "ladder.yaml"), "../../org/values.yaml", "../org.yaml")
		got, err := s.generate(t, filepath.Join(sibling, "gitops"), "shop", argoEnv(prodEU)...)
		if err != nil {
			t.Fatal(err)
		}
		if diff := gocmp.Diff(whole, got); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("announcement with an invalid parameter", func(t *testing.T) {
		stream, err := s.client(t).GetParametersAnnouncement(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := cmp.SendRepoStream(t.Context(), filepath.Join(root, app), root, stream, argoEnv(`[{"name":"env","string":"prod"},{"name":"skipCrds","string":"perhaps"}]`), nil); err != nil {
			t.Fatal(err)
		}
		response, err := stream.CloseAndRecv()
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, a := range response.ParameterAnnouncements {
			got[a.Name] = fmt.Sprintf("%v %s", a.Required, a.Tooltip)
		}
		want := map[string]string{
			"environment":  `true Environment of the ladder "shop": local, prod`,
			"target":       "false Target of prod: eu, us; empty for the other environments",
			"pullRequest":  "false This ladder has no spec.preview: leave it empty",
			"images":       "false This ladder has no spec.preview: leave it empty",
			"values":       "false Values by their paths, as helm --set reads them, as far as the ladder's overrides allow for the environment",
			"stringValues": "false As values, and always strings, as with helm --set-string",
			"releaseName":  "false Helm's release name, if it isn't the Application's name; at most 53 characters",
			"skipCrds":     "false true leaves out the chart's folder crds/; false if empty",
			"skipTests":    "false true leaves out Helm's test hooks; false if empty",
			"allowEmpty":   "false true takes a rendering without objects, by which Argo CD deletes everything; false if empty",
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("match by ladder", func(t *testing.T) {
		for dir, want := range map[string]bool{app: true, "org": false} {
			stream, err := s.client(t).MatchRepository(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := cmp.SendRepoStream(t.Context(), filepath.Join(root, dir), root, stream, nil, nil); err != nil {
				t.Fatal(err)
			}
			response, err := stream.CloseAndRecv()
			if err != nil {
				t.Fatal(err)
			}
			if response.IsSupported != want {
				t.Errorf("%s: supported %v", dir, response.IsSupported)
			}
		}
	})
	t.Run("health", func(t *testing.T) {
		conn, err := grpc.NewClient("unix://"+s.socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		response, err := grpc_health_v1.NewHealthClient(conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
		if err != nil || response.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
			t.Errorf("%v, %v", response, err)
		}
	})
	t.Run("concurrent requests", func(t *testing.T) {
		want, err := s.generate(t, root, app, argoEnv(prodEU)...)
		if err != nil {
			t.Fatal(err)
		}
		var group sync.WaitGroup
		for range 16 {
			group.Go(func() {
				got, err := s.generate(t, root, app, argoEnv(prodEU)...)
				if diff := gocmp.Diff(want, got); err != nil || diff != "" {
					t.Errorf("%v %s", err, diff)
				}
			})
		}
		group.Wait()
	})
}

func replace(t *testing.T, name, before, after string) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(data, []byte(before)) {
		t.Fatalf("%s lacks %q", name, before)
	}
	writeFile(t, name, strings.ReplaceAll(string(data), before, after))
}

func TestServeReturnsHelpfulErrors(t *testing.T) {
	s := serve(t, archive.DefaultLimits)
	for _, tt := range []struct {
		name   string
		change func(t *testing.T, root string)
		// sent is the folder of the repository that is sent.
		sent string
		env  []string
		want string
	}{
		{"missing environment", nil, ".", argoEnv("null"), `parameter environment is missing: ladder "shop" has local, prod`},
		{"unknown environment", nil, ".", argoEnv(`[{"name":"environment","string":"qa"}]`), "qa"},
		{"unknown parameter", nil, ".", argoEnv(`[{"name":"env","string":"prod"}]`), `parameter "env" is unknown: want one of environment, target, releaseName, pullRequest, skipCrds, skipTests, allowEmpty, images`},
		{"list as parameter", nil, ".", argoEnv(`[{"name":"environment","array":["prod"]}]`), `parameter "environment" must be a string`},
		{"invalid boolean", nil, ".", argoEnv(`[{"name":"environment","string":"prod"},{"name":"skipCrds","string":"yes"}]`), `parameter "skipCrds" is "yes": want true or false`},
		{"malformed parameters", nil, ".", argoEnv(`{`), "parsing ARGOCD_APP_PARAMETERS"},
		{"long release name", nil, ".", argoEnv(prodEU, "ARGOCD_APP_NAME="+strings.Repeat("a", 54)), "54 characters, and Helm allows 53: set the parameter releaseName, or --release-name"},
		{"layer that was not sent", nil, app, argoEnv(prodEU), `Argo CD sent only "gitops/shop" of the repository: add /org/values.yaml to the Application's annotation argocd.argoproj.io/manifest-generate-paths`},
		{"no ladder", func(t *testing.T, root string) {
			if err := os.Remove(filepath.Join(root, app, "ladder.yaml")); err != nil {
				t.Fatal(err)
			}
		}, ".", argoEnv(prodEU), "gitops/shop"},
		{"error in the ladder", func(t *testing.T, root string) {
			replace(t, filepath.Join(root, app, "ladder.yaml"), "chart: chart", "chrt: chart")
		}, ".", argoEnv(prodEU), "gitops/shop/ladder.yaml:5:3"},
		{"error in a template", func(t *testing.T, root string) {
			replace(t, filepath.Join(root, app, "chart/templates/deployment.yaml"), "{{ .Values.replicas }}", "{{ fail `no replicas` }}")
		}, ".", argoEnv(prodEU), "shop/templates/deployment.yaml:8"},
		{"layer linked outside the repository", func(t *testing.T, root string) {
			layer := filepath.Join(root, app, "prod.yaml")
			if err := os.Remove(layer); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink("../../../outside.yaml", layer); err != nil {
				t.Fatal(err)
			}
		}, ".", argoEnv(prodEU), "a symbolic link leads out of the repository"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := newRepository(t)
			if tt.change != nil {
				tt.change(t, root)
			}
			rel, err := filepath.Rel(tt.sent, app)
			if err != nil {
				t.Fatal(err)
			}
			_, err = s.generate(t, filepath.Join(root, tt.sent), rel, tt.env...)
			if status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

func TestServeFollowsLinksInsideRepository(t *testing.T) {
	s := serve(t, archive.DefaultLimits)
	root := newRepository(t)
	want, err := s.generate(t, root, app, argoEnv(prodEU)...)
	if err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{"gitops/shop/chart": "charts/shop", "gitops/shop/prod.yaml": "../prod-values.yaml"} {
		at, to := filepath.Join(root, link), filepath.Join(root, filepath.Dir(link), target)
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(at, to); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, at); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.generate(t, root, app, argoEnv(prodEU)...)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// entry is an entry of a tar.
type entry struct {
	name, content, link string
	kind                byte
}

func pack(t *testing.T, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	zipped := gzip.NewWriter(&b)
	tarred := tar.NewWriter(zipped)
	for _, e := range entries {
		header := &tar.Header{Name: e.name, Linkname: e.link, Typeflag: e.kind, Mode: 0o644, Size: int64(len(e.content))}
		if e.kind == 0 {
			header.Typeflag = tar.TypeReg
		}
		if err := tarred.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := tarred.Write([]byte(e.content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := tarred.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zipped.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func metadataOf(data []byte) *apiclient.ManifestRequestMetadata {
	sum := sha256.Sum256(data)
	return &apiclient.ManifestRequestMetadata{AppRelPath: ".", Checksum: hex.EncodeToString(sum[:]), Size_: int64(len(data))}
}

func asMessage(m *apiclient.ManifestRequestMetadata) *apiclient.AppStreamRequest {
	return &apiclient.AppStreamRequest{Request: &apiclient.AppStreamRequest_Metadata{Metadata: m}}
}

// send sends data in chunks of 1 KiB and returns the answer's error.
func (s *served) send(t *testing.T, metadata *apiclient.ManifestRequestMetadata, data []byte) error {
	t.Helper()
	stream, err := s.client(t).GenerateManifest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if metadata != nil {
		if err := stream.Send(asMessage(metadata)); err != nil {
			t.Fatal(err)
		}
	}
	for len(data) > 0 {
		n := min(len(data), 1024)
		// an answer before everything is sent would be an EOF for Argo CD
		if err := stream.Send(cmp.AppFileRequest(data[:n])); err != nil {
			t.Fatalf("sending: %v", err)
		}
		data = data[n:]
	}
	_, err = stream.CloseAndRecv()
	return err
}

func TestHostileStreams(t *testing.T) {
	s := serve(t, archive.Limits{Archive: 64 << 10, Unpacked: 1 << 20, Ratio: 100, PathLength: 4096, Entries: 100, File: 512 << 10})
	repository := newRepository(t)
	good := pack(t, entry{name: "ladder.yaml", content: "kind: Ladder"})
	wrongSum := metadataOf(good)
	wrongSum.Checksum = strings.Repeat("0", 64)
	outside := metadataOf(good)
	outside.AppRelPath = "../shop"
	random := make([]byte, 128<<10) // doesn't pack
	if _, err := rand.NewChaCha8([32]byte{}).Read(random); err != nil {
		t.Fatal(err)
	}
	noise := pack(t, entry{name: "noise", content: string(random)})
	bomb := pack(t, entry{name: ".git/pack", content: strings.Repeat("\x00", 2<<20)})
	many := make([]entry, 101)
	for i := range many {
		many[i] = entry{name: fmt.Sprintf("%d", i)}
	}
	var half []entry
	for i := range 3 {
		half = append(half, entry{name: fmt.Sprintf("%d", i), content: strings.Repeat("a", 400<<10)})
	}
	for _, tt := range []struct {
		name     string
		metadata *apiclient.ManifestRequestMetadata
		data     []byte
		code     codes.Code
		want     string
	}{
		{"wrong checksum", wrongSum, good, codes.InvalidArgument, "SHA-256"},
		{"truncated stream", metadataOf(good), good[:len(good)-20], codes.InvalidArgument, "bytes instead of"},
		{"nothing after the metadata", metadataOf(good), nil, codes.InvalidArgument, "the archive has 0 bytes"},
		{"no metadata", nil, good, codes.InvalidArgument, "doesn't begin with metadata"},
		{"no archive", nil, []byte("this is text, not an archive"), codes.InvalidArgument, "reading gzip"},
		{"folder outside", outside, good, codes.InvalidArgument, "outside of what was sent"},
		{"archive beyond the limit", metadataOf(noise), noise, codes.ResourceExhausted, "(--max-archive)"},
		{"decompression bomb", metadataOf(bomb), bomb, codes.ResourceExhausted, "unpacks to more than 1 MiB (--max-unpacked), .git included: make the repo-server send less (--plugin-tar-exclude '.git/**')"},
		{"too much content", nil, pack(t, half...), codes.ResourceExhausted, "--max-unpacked"},
		{"too many files", nil, pack(t, many...), codes.ResourceExhausted, "more than 100 files and folders (--max-entries)"},
		{"..", nil, pack(t, entry{name: "a/../../b"}), codes.InvalidArgument, `"a/../../b": its path leads out`},
		{"absolute path", nil, pack(t, entry{name: "/etc/passwd"}), codes.InvalidArgument, "leads out"},
		{"hard link", nil, pack(t, entry{name: "a", kind: tar.TypeLink, link: "/etc/passwd"}), codes.InvalidArgument, "hard link"},
		{"device", nil, pack(t, entry{name: "a", kind: tar.TypeBlock}), codes.InvalidArgument, "device"},
		{"FIFO", nil, pack(t, entry{name: "a", kind: tar.TypeFifo}), codes.InvalidArgument, "FIFO"},
		{"file below a symbolic link", nil, pack(t, entry{name: "a", kind: tar.TypeSymlink, link: "/"}, entry{name: "a/b"}), codes.InvalidArgument, "isn't a folder"},
		{"long path", nil, pack(t, entry{name: strings.Repeat("a/", 3000) + "b"}), codes.InvalidArgument, "longer than 4096 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			metadata := tt.metadata
			if metadata == nil && tt.name != "no metadata" {
				metadata = metadataOf(tt.data)
			}
			err := s.send(t, metadata, tt.data)
			if status.Code(err) != tt.code || !strings.Contains(fmt.Sprint(err), tt.want) {
				t.Errorf("error %v, want %s with %q", err, tt.code, tt.want)
			}
			if _, err := s.generate(t, repository, app, argoEnv(prodEU)...); err != nil {
				t.Errorf("the next request: %v", err)
			}
		})
	}
	t.Run("metadata twice", func(t *testing.T) {
		stream, err := s.client(t).GenerateManifest(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := stream.Send(asMessage(metadataOf(good))); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := stream.CloseAndRecv(); status.Code(err) != codes.InvalidArgument {
			t.Errorf("error %v", err)
		}
	})
	t.Run("chunk beyond the message limit", func(t *testing.T) {
		stream, err := s.client(t).GenerateManifest(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Send(asMessage(metadataOf(good))); err != nil {
			t.Fatal(err)
		}
		if err := stream.Send(cmp.AppFileRequest(make([]byte, 17<<20))); err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		if _, err := stream.CloseAndRecv(); status.Code(err) != codes.ResourceExhausted {
			t.Errorf("error %v", err)
		}
	})
	t.Run("disconnected client", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		stream, err := s.client(t).GenerateManifest(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Send(asMessage(metadataOf(good))); err != nil {
			t.Fatal(err)
		}
		cancel()
		if _, err := stream.CloseAndRecv(); status.Code(err) != codes.Canceled {
			t.Errorf("error %v", err)
		}
		if _, err := s.client(t).CheckPluginConfiguration(t.Context(), &emptypb.Empty{}); err != nil {
			t.Error(err)
		}
	})
}

// The archive of a cached request isn't unpacked again, but its checksum is verified, so that the
// client must send it.
func TestCachedRequestVerifiesChecksum(t *testing.T) {
	s := serve(t, archive.DefaultLimits)
	data := pack(t,
		entry{name: "ladder.yaml", content: "apiVersion: envladder.dev/v1alpha1\nkind: Ladder\nmetadata: {name: shop}\nspec: {chart: chart, environments: [{name: dev}, {name: prod}]}\n"},
		entry{name: "chart/Chart.yaml", content: "apiVersion: v2\nname: shop\nversion: 1.0.0\n"},
		entry{name: "chart/templates/x.yaml", content: "kind: ConfigMap\nmetadata: {name: x}\n"},
	)
	metadataFor := func(environment string) *apiclient.ManifestRequestMetadata {
		metadata := metadataOf(data)
		metadata.Env = []*apiclient.EnvEntry{{Name: "ARGOCD_APP_PARAMETERS", Value: `[{"name":"environment","string":"` + environment + `"}]`}}
		return metadata
	}
	damaged := slices.Clone(data)
	damaged[len(damaged)-1]++
	for _, tt := range []struct {
		name     string
		metadata *apiclient.ManifestRequestMetadata
		data     []byte
		want     string
	}{
		{"first request", metadataFor("dev"), data, ""},
		{"second request", metadataFor("dev"), data, ""},
		{"no archive", metadataFor("dev"), nil, "the archive has 0 bytes"},
		{"truncated", metadataFor("dev"), data[:len(data)-20], "it was truncated"},
		{"damaged", metadataFor("dev"), damaged, "it was damaged"},
		{"other environment", metadataFor("prod"), data, ""},
		{"unknown environment", metadataFor("qa"), data, `"qa"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := s.send(t, tt.metadata, tt.data)
			if tt.want == "" && err != nil || tt.want != "" && !strings.Contains(fmt.Sprint(err), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

// While another request holds the only slot, cached requests are answered, and all others
// wait.
func TestCachedRequestDoesNotWait(t *testing.T) {
	config := newConfig(t.TempDir())
	config.MaxRequests = 1
	s := serveConfig(t, config)
	root := newRepository(t)
	want, err := s.generate(t, root, app, argoEnv(prodEU)...)
	if err != nil {
		t.Fatal(err)
	}
	holding, err := s.client(t).MatchRepository(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := holding.Send(asMessage(metadataOf(nil))); err != nil {
		t.Fatal(err)
	}
	// waits repeats a request until it fails because of the limit, which may take a while
	waits := func(name string, env []string) {
		waitFor(t, func() bool {
			_, err := s.generateWithin(t, 500*time.Millisecond, root, app, env...)
			if err == nil {
				t.Errorf("%s: no error", name)
			}
			return err == nil || status.Code(err) == codes.ResourceExhausted
		})
	}
	waits("request that takes the slot", argoEnv("[]"))
	for name, env := range map[string][]string{
		"other environment":            argoEnv(`[{"name":"environment","string":"local"}]`),
		"other release":                argoEnv(prodEU, "ARGOCD_APP_NAME=other"),
		"other namespace":              argoEnv(prodEU, "ARGOCD_APP_NAMESPACE=other"),
		"other Kubernetes version":     argoEnv(prodEU, "KUBE_VERSION=1.33.0"),
		"other APIs":                   argoEnv(prodEU, "KUBE_API_VERSIONS=v1"),
		"other path in the repository": argoEnv(prodEU, "ARGOCD_APP_SOURCE_PATH=below/"+app),
		"skipped tests":                argoEnv(strings.Replace(prodEU, "[", `[{"name":"skipTests","string":"true"},`, 1)),
	} {
		waits(name, env)
	}
	got, err := s.generateWithin(t, time.Minute, root, app, argoEnv(prodEU)...)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("(-first +again)\n%s", diff)
	}
}

// A third request waits while two are in progress, and is served when one of them ends.
func TestMaxRequests(t *testing.T) {
	s := serve(t, archive.DefaultLimits)
	data := pack(t, entry{name: "ladder.yaml"})
	match := func(ctx context.Context) apiclient.ConfigManagementPluginService_MatchRepositoryClient {
		t.Helper()
		stream, err := s.client(t).MatchRepository(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Send(asMessage(metadataOf(data))); err != nil {
			t.Fatal(err)
		}
		return stream
	}
	finish := func(stream apiclient.ConfigManagementPluginService_MatchRepositoryClient) error {
		t.Helper()
		if err := stream.Send(cmp.AppFileRequest(data)); err != nil {
			t.Fatal(err)
		}
		_, err := stream.CloseAndRecv()
		return err
	}
	held := []apiclient.ConfigManagementPluginService_MatchRepositoryClient{match(t.Context()), match(t.Context())}
	// a stream in progress is only visible because it blocks others
	waitFor(t, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		err := finish(match(ctx))
		return status.Code(err) == codes.ResourceExhausted && strings.Contains(err.Error(), "2 are in progress (--max-requests)")
	})
	third := make(chan error, 1)
	waiting := match(t.Context())
	go func() { third <- finish(waiting) }()
	if err := finish(held[0]); err != nil {
		t.Error(err)
	}
	if err := <-third; err != nil {
		t.Errorf("after a request ended: %v", err)
	}
	if err := finish(held[1]); err != nil {
		t.Error(err)
	}
}

func TestServeRejectsInvalidLimits(t *testing.T) {
	for want, change := range map[string]func(*plugin.Config){
		"--max-archive -1":  func(c *plugin.Config) { c.Limits.Archive = -1 },
		"--max-unpacked 0":  func(c *plugin.Config) { c.Limits.Unpacked = 0 },
		"--max-entries -7":  func(c *plugin.Config) { c.Limits.Entries = -7 },
		"--max-requests 0":  func(c *plugin.Config) { c.MaxRequests = 0 },
		"--max-requests -1": func(c *plugin.Config) { c.MaxRequests = -1 },
	} {
		config := newConfig(t.TempDir())
		change(&config)
		if err := plugin.Serve(t.Context(), config); err == nil || !strings.Contains(err.Error(), want+": want 1 or more") {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}

func TestServeSkipsFileWithInvalidName(t *testing.T) {
	s := serve(t, archive.DefaultLimits)
	root := newRepository(t)
	writeFile(t, filepath.Join(root, "docs", "caf\xe9.txt"), "latin1")
	writeFile(t, filepath.Join(root, "r\xe9sum\xe9", "a.txt"), "latin1")
	got, err := s.generate(t, root, app, argoEnv(prodEU)...)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff([]string{withDigest(t, root, wantProdEU)}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestServeSkipsLargeFile(t *testing.T) {
	limits := archive.DefaultLimits
	limits.File = 64 << 10
	s := serve(t, limits)
	root := newRepository(t)
	writeFile(t, filepath.Join(root, "video.bin"), strings.Repeat("v", 65<<10))
	if _, err := s.generate(t, root, app, argoEnv(prodEU)...); err != nil {
		t.Error(err)
	}
	writeFile(t, filepath.Join(root, app, "prod.yaml"), "a: "+strings.Repeat("v", 65<<10))
	if _, err := s.generate(t, root, app, argoEnv(prodEU)...); err == nil || !strings.Contains(err.Error(), "prod.yaml") {
		t.Errorf("error %v", err)
	}
}

func TestSocket(t *testing.T) {
	t.Run("mode and removal", func(t *testing.T) {
		s := serve(t, archive.DefaultLimits)
		waitFor(t, func() bool { // the mode is set after the socket listens
			info, err := os.Stat(s.socket)
			return err == nil && info.Mode().Perm() == 0o666
		})
		if err := s.stop(); err != nil {
			t.Errorf("Serve returned %v", err)
		}
		if _, err := os.Stat(s.socket); !os.IsNotExist(err) {
			t.Errorf("the socket still exists: %v", err)
		}
	})
	t.Run("request during shutdown", func(t *testing.T) {
		s := serve(t, archive.DefaultLimits)
		stream, err := s.client(t).MatchRepository(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		data := pack(t, entry{name: "ladder.yaml"})
		if err := stream.Send(asMessage(metadataOf(data))); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- s.stop() }()
		waitFor(t, func() bool { _, err := os.Stat(s.socket); return os.IsNotExist(err) })
		if err := stream.Send(cmp.AppFileRequest(data)); err != nil {
			t.Fatal(err)
		}
		response, err := stream.CloseAndRecv()
		if err != nil || !response.IsSupported {
			t.Errorf("%v, %v", response, err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Run("stale socket", func(t *testing.T) {
		folder := t.TempDir()
		listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(folder, "envladder.sock"), Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		listener.SetUnlinkOnClose(false)
		listener.Close()
		s := serveIn(t, folder, archive.DefaultLimits)
		if _, err := s.client(t).CheckPluginConfiguration(t.Context(), &emptypb.Empty{}); err != nil {
			t.Error(err)
		}
	})
	refused := func(t *testing.T, folder, name, want string) {
		t.Helper()
		config := newConfig(folder)
		config.Name = name
		err := plugin.Serve(t.Context(), config)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
	t.Run("socket of a running plugin", func(t *testing.T) {
		s := serve(t, archive.DefaultLimits)
		refused(t, filepath.Dir(s.socket), "envladder", "answers on")
		if _, err := s.client(t).CheckPluginConfiguration(t.Context(), &emptypb.Empty{}); err != nil {
			t.Error(err)
		}
	})
	t.Run("other file", func(t *testing.T) {
		folder := t.TempDir()
		writeFile(t, filepath.Join(folder, "envladder.sock"), "mine")
		refused(t, folder, "envladder", "isn't a socket")
	})
	t.Run("name with a path", func(t *testing.T) {
		refused(t, t.TempDir(), "../envladder", "plugin name")
	})
	t.Run("long path", func(t *testing.T) {
		refused(t, "/tmp", strings.Repeat("a", 110), "the maximum is 107")
	})
	t.Run("missing folder", func(t *testing.T) {
		refused(t, filepath.Join(t.TempDir(), "missing"), "envladder", "listening")
	})
}

// waitFor waits up to 5 s until a condition holds.
func waitFor(t *testing.T, condition func() bool) {
	t.Helper()
	for range 500 {
		if condition() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("the condition is still false after 5 s")
}
