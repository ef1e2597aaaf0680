package plugin

import (
	"context"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"sigs.k8s.io/yaml"

	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/plugin/worker/workertest"
)

func TestReleaseName(t *testing.T) {
	environment := ladder.Resolved{Ladder: "shop"}
	for name, tt := range map[string]struct {
		request Request
		want    string
	}{
		"Application's name":               {Request{AppName: "shop-prod"}, "shop-prod"},
		"Application in another namespace": {Request{AppName: "team_shop-prod"}, "shop-prod"},
		"parameter":                        {Request{AppName: "shop-prod", ReleaseName: "mine"}, "mine"},
		"no Application":                   {Request{}, "shop"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := tt.request.releaseName(environment); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestGenerateReturnsContextError(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	repository := fstest.MapFS{
		"ladder.yaml":            {Data: []byte("apiVersion: envladder.dev/v1alpha1\nkind: Ladder\nmetadata: {name: shop}\nspec: {chart: chart, environments: [{name: dev}]}\n")},
		"chart/Chart.yaml":       {Data: []byte("apiVersion: v2\nname: c\nversion: 1.0.0\n")},
		"chart/templates/x.yaml": {Data: []byte("kind: Pod\n")},
	}
	if _, err := Generate(ctx, Request{Repository: repository, Dir: ".", Environment: "dev"}); status.Code(asStatus(err)) != codes.Canceled {
		t.Errorf("error %v", err)
	}
}

func TestNewRepoFS(t *testing.T) {
	sent := fstest.MapFS{"shop/file": {}, "file": {}}
	for name, tt := range map[string]struct{ rel, source, wantDir, open string }{
		"whole repository":                   {"shop", "shop", "shop", "shop/file"},
		"unclean path":                       {"shop", "./shop/", "shop", "shop/file"},
		"root":                               {".", ".", ".", "file"},
		"Application's folder":               {".", "gitops/shop", "gitops/shop", "gitops/shop/file"},
		"parent of the Application's folder": {"shop", "gitops/shop", "gitops/shop", "gitops/file"},
		"no path":                            {"shop", "", "shop", "file"},
		"path of another folder":             {"shop", "elsewhere/myshop", "shop", "file"},
	} {
		t.Run(name, func(t *testing.T) {
			got, dir, err := newRepoFS(sent, tt.rel, tt.source)
			if err != nil {
				t.Fatal(err)
			}
			if dir != tt.wantDir {
				t.Errorf("folder %q, want %q", dir, tt.wantDir)
			}
			if _, err := fs.Stat(got, tt.open); err != nil {
				t.Error(err)
			}
		})
	}
	for _, rel := range []string{"..", "../shop", "/shop", "shop/../../x"} {
		if _, _, err := newRepoFS(sent, rel, "shop"); err == nil {
			t.Errorf("%q: no error", rel)
		}
	}
}

func TestRecoverStreamReturnsPanicAsError(t *testing.T) {
	var logs strings.Builder
	intercept := recoverStream(slog.New(slog.NewTextHandler(&logs, nil)))
	err := intercept(nil, nil, &grpc.StreamServerInfo{FullMethod: "/m"}, func(any, grpc.ServerStream) error { panic("boom") })
	if status.Code(err) != codes.Internal || !strings.Contains(err.Error(), "boom") {
		t.Errorf("error %v", err)
	}
	if !strings.Contains(logs.String(), "plugin_test.go") {
		t.Errorf("the log lacks the stack: %s", logs.String())
	}
}

// manifests/plugin.yaml announces the same parameters as serve, since argocd-cmp-server reads
// them from that file.
func TestManifestAnnouncesSameParametersAsServe(t *testing.T) {
	data, err := os.ReadFile("../manifests/plugin.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var manifest struct {
		Spec struct {
			Generate   struct{ Command []string }
			Parameters struct {
				Static []struct {
					Name     string
					Required bool
				}
			}
		}
	}
	if err := yaml.Unmarshal(data, &manifest); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"envladder-plugin", "generate"}, manifest.Spec.Generate.Command); diff != "" {
		t.Error(diff)
	}
	got, want := map[string]bool{}, map[string]bool{}
	for _, p := range manifest.Spec.Parameters.Static {
		got[p.Name] = p.Required
	}
	for _, p := range announce(&ladder.Document{}) {
		want[p.GetName()] = p.GetRequired()
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestMain(m *testing.M) { workertest.Main(m) }
