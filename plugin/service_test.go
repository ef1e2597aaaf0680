package plugin_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/argoproj/argo-cd/v2/cmpserver/apiclient"
	"github.com/argoproj/argo-cd/v2/util/cmp"
	gocmp "github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/envladder/envladder/internal/chart"
	"github.com/envladder/envladder/internal/registry"
	"github.com/envladder/envladder/internal/registry/registrytest"
	"github.com/envladder/envladder/plugin"
	"github.com/envladder/envladder/plugin/archive"
)

// generateWithin calls generate with a deadline, as the repo-server does.
func (s *served) generateWithin(t *testing.T, limit time.Duration, root, app string, env ...string) ([]string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	stream, err := s.client(t).GenerateManifest(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmp.SendRepoStream(ctx, filepath.Join(root, app), root, stream, env, nil); err != nil {
		return nil, err
	}
	response, err := stream.CloseAndRecv()
	if err != nil {
		return nil, err
	}
	return response.Manifests, nil
}

// bad is the path of a template that tests add to newRepository's chart.
const bad = app + "/chart/templates/bad.yaml"

func TestHostileTemplates(t *testing.T) {
	s := serve(t, archive.DefaultLimits)
	good := newRepository(t)
	want, err := s.generate(t, good, app, argoEnv(prodEU)...)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, file, content string
		limit               time.Duration
		code                codes.Code
		want                string
	}{
		{"endless range", bad, "{{ range 9223372036854775807 }}{{ end }}", 16 * time.Second, codes.DeadlineExceeded, `template "shop/templates/bad.yaml" timed out after`},
		{"long repetition", bad, `{{ repeat 1000000000 "x" }}`, time.Minute, codes.ResourceExhausted, `template "shop/templates/bad.yaml" needs more`},
		{"self-referential value", bad, `{{ $_ := set .Values "self" .Values }}{{ printf "%v" .Values }}`, time.Minute, codes.ResourceExhausted, `template "shop/templates/bad.yaml" overflows the stack`},
		{"recursive include", bad, `{{ define "again" }}{{ include "again" . }}{{ end }}{{ include "again" . }}`, time.Minute, codes.InvalidArgument, "bad.yaml"},
		{"100 MiB", bad, "kind: ConfigMap\ndata: {a: {{ repeat 104857600 `x` }}}", time.Minute, codes.InvalidArgument, `more than 64 MiB, most of them by template "shop/templates/`},
		{"invalid YAML", bad, "a: b: c", time.Minute, codes.InvalidArgument, "shop/templates/bad.yaml"},
		{"error with terminal escapes", bad, "{{ fail `\x1b[31mred\a` }}", time.Minute, codes.InvalidArgument, "\ufffd[31mred\ufffd"},
		{"long error", bad, `{{ fail (repeat 1000000 "x") }}`, time.Minute, codes.InvalidArgument, "xxx…"},
		{"recursive schema", app + "/chart/values.schema.json", `{"$ref": "#"}`, time.Minute, codes.InvalidArgument, "values.schema.json"},
		{"schema that reads a file", app + "/chart/values.schema.json", `{"$ref": "file:///etc/passwd"}`, time.Minute, codes.InvalidArgument, "reads no files and no network"},
		{"schema that sends a request", app + "/chart/values.schema.json", `{"$ref": "http://127.0.0.1:1/s.json"}`, time.Minute, codes.InvalidArgument, "reads no files and no network"},
		{"chart named ..", app + "/chart/Chart.yaml", "apiVersion: v2\nname: ..\nversion: 1.0.0\n", time.Minute, codes.OK, ""},
		{"other digest", bad, "kind: Pod\nmetadata: {name: smuggler}\nspec: {containers: [{image: \"registry.example.com/shop/web:latest\"}]}", time.Minute, codes.InvalidArgument, `Pod "smuggler" of template "shop/templates/bad.yaml" runs "registry.example.com/shop/web:latest"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := newRepository(t)
			writeFile(t, filepath.Join(root, tt.file), tt.content)
			start := time.Now()
			_, err := s.generateWithin(t, tt.limit, root, app, argoEnv(prodEU)...)
			if status.Code(err) != tt.code || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %.500v, want %s with %q", err, tt.code, tt.want)
			}
			if took := time.Since(start); took > tt.limit {
				t.Errorf("it took %v", took)
			}
			got, err := s.generate(t, good, app, argoEnv(prodEU)...)
			if diff := gocmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("the next request: %v %s", err, diff)
			}
		})
	}
}

// The links double the number of paths at each level, and the request is the only one in progress.
func TestDoublingLinksAreRejected(t *testing.T) {
	config := newConfig(t.TempDir())
	config.MaxRequests = 1
	s := serveConfig(t, config)
	root := newRepository(t)
	link := func(target, name string) {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	link("../links/d0", app+"/chart/x")
	for i := range 35 {
		link(fmt.Sprintf("../d%d", i+1), fmt.Sprintf("%s/links/d%d/a", app, i))
		link(fmt.Sprintf("../d%d", i+1), fmt.Sprintf("%s/links/d%d/b", app, i))
	}
	writeFile(t, filepath.Join(root, app, "links/d35/end"), "")
	before := allocated()
	_, err := s.generateWithin(t, time.Minute, root, app, argoEnv(prodEU)...)
	if status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "repeated symbolic links to one folder") {
		t.Errorf("error %v", err)
	}
	if more := int64(allocated()) - int64(before); more > 64<<20 {
		t.Errorf("the server's heap grew by %d MiB", more>>20)
	}
	if _, err := s.generateWithin(t, time.Minute, newRepository(t), app, argoEnv(prodEU)...); err != nil {
		t.Errorf("the next request: %v", err)
	}
}

// allocated returns the heap size of this process, the server, in bytes.
func allocated() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// A stream that unpacks to a thousand times its size is rejected before it uses more memory
// than its limit.
func TestHighlyCompressedStreamUsesLittleMemory(t *testing.T) {
	limits := archive.DefaultLimits
	limits.Unpacked = 16 << 20
	s := serve(t, limits)
	data := pack(t, entry{name: app + "/big.bin", content: strings.Repeat("x", 256<<20)})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := s.send(t, metadataOf(data), data)
	runtime.ReadMemStats(&after)
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("error %v", err)
	}
	// total allocations, including those of the test
	if took := after.TotalAlloc - before.TotalAlloc; took > 8*uint64(limits.Unpacked) {
		t.Errorf("%d MiB were allocated", took>>20)
	}
}

func TestUnusualTemplatesRender(t *testing.T) {
	s := serve(t, archive.DefaultLimits)
	for _, tt := range []struct{ name, content, want string }{
		{"list", "kind: List\nitems:\n- {kind: Secret, metadata: {name: a}}\n", "# Source: shop/templates/bad.yaml\nkind: List\nitems:\n- {kind: Secret, metadata: {name: a}}\n"},
		{"Windows line endings", "kind: Secret\r\nmetadata: {name: a}\r\n", "# Source: shop/templates/bad.yaml\nkind: Secret\r\nmetadata: {name: a}\n"},
		{"terminal escapes", "kind: Secret\nmetadata: {name: a}\nstringData: {x: \"\\e[31m\"}\n", "# Source: shop/templates/bad.yaml\nkind: Secret\nmetadata: {name: a}\nstringData: {x: \"\\e[31m\"}\n"},
		{"environment variable of Argo CD", "kind: Secret\nmetadata: {name: \"{{ .Values.ARGOCD_ENV_X }}\"}\n", "# Source: shop/templates/bad.yaml\nkind: Secret\nmetadata: {name: \"\"}\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := newRepository(t)
			writeFile(t, filepath.Join(root, bad), tt.content)
			got, err := s.generate(t, root, app, argoEnv(prodEU, "ARGOCD_ENV_X=a\nARGOCD_APP_NAME=forged", "ARGOCD_ENV_Y=$(reboot); `reboot`")...)
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != 2 || !slices.Contains(got, tt.want) {
				t.Errorf("got %q", got)
			}
		})
	}
}

// The endless render ends only when the other requests are served: if it blocked them, the test
// would not end.
func TestEndlessTemplateBlocksNoOtherRequest(t *testing.T) {
	s := serve(t, archive.DefaultLimits)
	endless := newRepository(t)
	writeFile(t, filepath.Join(endless, bad), "{{ range 9223372036854775807 }}{{ end }}")
	ctx, end := context.WithCancel(t.Context())
	defer end()
	stream, err := s.client(t).GenerateManifest(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmp.SendRepoStream(ctx, filepath.Join(endless, app), endless, stream, argoEnv(prodEU), nil); err != nil {
		t.Fatal(err)
	}
	stuck := make(chan error, 1)
	go func() {
		_, err := stream.CloseAndRecv()
		stuck <- err
	}()
	for i := range 10 {
		root := newRepository(t)
		writeFile(t, filepath.Join(root, app, "prod.yaml"), fmt.Sprintf("replicas: %d\n", i))
		got, err := s.generateWithin(t, time.Minute, root, app, argoEnv(prodEU)...)
		if err != nil || !strings.Contains(fmt.Sprint(got), fmt.Sprintf("replicas: %d\n", i)) {
			t.Fatalf("%v, %v", got, err)
		}
	}
	if len(stuck) > 0 {
		t.Fatalf("the endless render ended before the other requests were served: %v", <-stuck)
	}
	end()
	if err := <-stuck; status.Code(err) != codes.Canceled {
		t.Errorf("error %v", err)
	}
}

func TestServeHandlesConcurrentRequests(t *testing.T) {
	s := serve(t, archive.DefaultLimits)
	var group sync.WaitGroup
	for i := range 200 {
		root := newRepository(t)
		writeFile(t, filepath.Join(root, app, "prod.yaml"), fmt.Sprintf("replicas: %d\n", i))
		group.Go(func() {
			got, err := s.generateWithin(t, time.Minute, root, app, argoEnv(prodEU)...)
			if err != nil || !strings.Contains(fmt.Sprint(got), fmt.Sprintf("replicas: %d\n", i)) {
				t.Errorf("request %d: %v, %v", i, got, err)
			}
		})
	}
	group.Wait()
}

func TestBooleanParameters(t *testing.T) {
	s := serve(t, archive.DefaultLimits)
	root := newRepository(t)
	writeFile(t, filepath.Join(root, app, "chart/crds/crd.yaml"), "kind: CustomResourceDefinition\n")
	writeFile(t, filepath.Join(root, app, "chart/templates/test.yaml"), "kind: Pod\nmetadata: {name: test, annotations: {helm.sh/hook: test}}\n")
	count := func(parameters string) int {
		t.Helper()
		got, err := s.generate(t, root, app, argoEnv(strings.TrimSuffix(prodEU, "]")+parameters+"]")...)
		if err != nil {
			t.Fatal(err)
		}
		return len(got)
	}
	for parameters, want := range map[string]int{
		"":                                      3,
		`,{"name":"skipCrds","string":"true"}`:  2,
		`,{"name":"skipTests","string":"true"}`: 2,
		`,{"name":"skipCrds","string":"true"},{"name":"skipTests","string":"true"}`:   1,
		`,{"name":"skipCrds","string":"false"},{"name":"skipTests","string":"false"}`: 3,
	} {
		if got := count(parameters); got != want {
			t.Errorf("%q: %d manifests, want %d", parameters, got, want)
		}
	}
	writeFile(t, filepath.Join(root, app, "chart/templates/deployment.yaml"), "{{ if false }}kind: Pod{{ end }}\n")
	nothing := `,{"name":"skipCrds","string":"true"},{"name":"skipTests","string":"true"}`
	if _, err := s.generate(t, root, app, argoEnv(strings.TrimSuffix(prodEU, "]")+nothing+"]")...); err == nil || !strings.Contains(err.Error(), "renders to nothing") {
		t.Errorf("error %v", err)
	}
	if got := count(nothing + `,{"name":"allowEmpty","string":"true"}`); got != 0 {
		t.Errorf("%d manifests of an empty chart", got)
	}
}

func TestMetrics(t *testing.T) {
	config := newConfig(t.TempDir())
	config.MetricsListen = "127.0.0.1:0"
	s := serveConfig(t, config)
	root := newRepository(t)
	for range 3 {
		if _, err := s.generate(t, root, app, argoEnv(prodEU)...); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.generate(t, root, app, argoEnv("null")...); err == nil {
		t.Error("no error")
	}
	writeFile(t, filepath.Join(root, bad), `{{ repeat 1000000000 "x" }}`)
	if _, err := s.generate(t, root, app, argoEnv(prodEU)...); err == nil {
		t.Error("no error")
	}
	address := regexp.MustCompile(`msg="serving metrics" address=(\S+)`).FindStringSubmatch(s.logs.String())
	if address == nil {
		t.Fatalf("the log lacks the address of the metrics: %s", s.logs)
	}
	response, err := http.Get("http://" + address[1] + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`envladder_plugin_renders_total{result="ok"} 3`,
		`envladder_plugin_renders_total{result="error"} 1`,
		`envladder_plugin_renders_total{result="lost"} 1`,
		`envladder_plugin_result_cache_total{result="hit"} 2`,
		`envladder_plugin_result_cache_total{result="miss"} 2`,
		`envladder_plugin_phase_seconds_count{phase="render"} 2`,
		`envladder_plugin_phase_seconds_count{phase="resolve"} 3`,
		`envladder_plugin_workers_lost_total{reason="memory"} 3`,
		`envladder_plugin_requests_waiting 0`,
	} {
		if !strings.Contains(string(body), want+"\n") {
			t.Errorf("the metrics lack %s", want)
		}
	}
	if t.Failed() {
		t.Logf("%s", body)
	}
}

func TestDisconnectedClientReleasesResources(t *testing.T) {
	config := newConfig(t.TempDir())
	config.MaxRequests = 1
	s := serveConfig(t, config)
	root := newRepository(t)
	writeFile(t, filepath.Join(root, bad), "{{ range 9223372036854775807 }}{{ end }}")
	ctx, goAway := context.WithCancel(t.Context())
	stream, err := s.client(t).GenerateManifest(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmp.SendRepoStream(ctx, filepath.Join(root, app), root, stream, argoEnv(prodEU), nil); err != nil {
		t.Fatal(err)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(500*time.Millisecond, goAway)
	var response apiclient.ManifestResponse
	if err := stream.RecvMsg(&response); status.Code(err) != codes.Canceled {
		t.Errorf("error %v", err)
	}
	// the only worker is free again, and no request is in progress
	if _, err := s.generateWithin(t, 30*time.Second, newRepository(t), app, argoEnv(prodEU)...); err != nil {
		t.Error(err)
	}
}

func TestServeRendersChartInRegistry(t *testing.T) {
	server := registrytest.Start(t, registrytest.WithReferrers)
	packaged := pack(t, entry{name: "shop/Chart.yaml", content: "apiVersion: v2\nname: shop\nversion: 1.0.0\n"},
		entry{name: "shop/templates/x.yaml", content: "kind: Secret\nmetadata: {name: pulled}\n"})
	digest := server.Attach(t, "charts/shop", server.Image(t, "charts/shop"), "application/vnd.cncf.helm.chart.content.v1.tar+gzip", packaged, nil)
	root := newRepository(t)
	replace(t, filepath.Join(root, app, "ladder.yaml"), "chart: chart", "chart: oci://"+server.Name("charts/shop")+"@"+digest)
	config := newConfig(t.TempDir())
	config.Charts = chart.NewPuller(registry.NewClient(), filepath.Join(t.TempDir(), "charts"), 1<<20)
	s := serveConfig(t, config)
	want := []string{"# Source: shop/templates/x.yaml\nkind: Secret\nmetadata: {name: pulled}\n"}
	for range 2 {
		got, err := s.generate(t, root, app, argoEnv(prodEU)...)
		if err != nil {
			t.Fatal(err)
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		server.Stop()
	}
}

func TestExecPrintsSameAsServe(t *testing.T) {
	s := serve(t, archive.DefaultLimits)
	root := newRepository(t)
	writeFile(t, filepath.Join(root, bad), "kind: Job\nmetadata: {name: x, annotations: {helm.sh/hook: pre-install}}\n")
	served, err := s.generate(t, root, app, argoEnv(prodEU)...)
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{}
	for _, entry := range argoEnv(prodEU) {
		name, value, _ := strings.Cut(entry, "=")
		env[name] = value
	}
	var printed strings.Builder
	if err := plugin.Exec(t.Context(), filepath.Join(root, app), nil, func(name string) string { return env[name] }, &printed); err != nil {
		t.Fatal(err)
	}
	if want := "---\n" + strings.Join(served, "---\n"); want != printed.String() {
		t.Error(gocmp.Diff(want, printed.String()))
	}
}
