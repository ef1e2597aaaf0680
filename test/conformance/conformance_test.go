// Package conformance compares the output of envladder-plugin with the output of `helm
// template` of the linked version, for real charts. The charts are read from Go modules.
package conformance_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/envladder/envladder/test/programs"
)

// module returns the folder of a Go module in the module cache.
func module(t *testing.T, version string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", version)
	cmd.Dir = t.TempDir() // outside any module, so that no go.mod changes
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	out, err := cmd.Output()
	var found struct{ Dir, Error string }
	if jsonErr := json.Unmarshal(out, &found); err != nil || jsonErr != nil {
		t.Fatalf("finding module %s: %v %v %s", version, err, jsonErr, found.Error)
	}
	return found.Dir
}

// linkedModule returns module for the version in the product's go.mod.
func linkedModule(t *testing.T, path string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Version}}", path)
	cmd.Dir = "../.."
	version, err := cmd.Output()
	if err != nil {
		t.Fatalf("finding the version of %s: %v", path, err)
	}
	return module(t, path+"@"+strings.TrimSpace(string(version)))
}

// rendering is a chart and the inputs of a render.
type rendering struct {
	chart     string // a folder or a .tgz
	values    string // YAML
	app       string // name in Argo CD
	release   string // name in Helm
	namespace string
	// parameters are the plugin's parameters, and flags Helm's flags for them.
	parameters map[string]string
	flags      []string
}

const (
	kubeVersion = "1.31.2"
	apiVersions = "monitoring.coreos.com/v1,monitoring.coreos.com/v1/ServiceMonitor,example.com/v1"
)

// helm returns the output of `helm template`, or its error.
func (r rendering) helm(t *testing.T) (string, error) {
	t.Helper()
	path, err := programs.Path(t.Context(), os.Stderr, "helm")
	if err != nil {
		t.Fatal(err)
	}
	values := filepath.Join(t.TempDir(), "values.yaml")
	write(t, values, r.values)
	args := []string{"template", r.release, r.chart, "-f", values, "--namespace", r.namespace, "--kube-version", kubeVersion, "--api-versions", apiVersions}
	if r.parameters["skipCrds"] != "true" {
		args = append(args, "--include-crds")
	}
	cmd := exec.CommandContext(t.Context(), path, append(args, r.flags...)...)
	cmd.Env = []string{"HOME=" + t.TempDir()} // without the user's plugins and settings
	return run(cmd)
}

// plugin returns the output of envladder-plugin, run as by argocd-cmp-server.
func (r rendering) plugin(t *testing.T) (string, error) {
	t.Helper()
	root := t.TempDir()
	chart := "chart"
	if strings.HasSuffix(r.chart, ".tgz") {
		chart = "chart.tgz"
	}
	write(t, filepath.Join(root, ".git", "HEAD"), "ref: refs/heads/main\n")
	write(t, filepath.Join(root, "app", "values.yaml"), r.values)
	write(t, filepath.Join(root, "app", "ladder.yaml"), fmt.Sprintf(`apiVersion: envladder.dev/v1alpha1
kind: Ladder
metadata: {name: shop}
spec: {chart: %s, stamps: Off, layers: [values.yaml], environments: [{name: dev}]}
`, chart))
	copyChart(t, r.chart, filepath.Join(root, "app", chart))
	parameters := []map[string]string{{"name": "environment", "string": "dev"}, {"name": "allowEmpty", "string": "true"}}
	for name, value := range r.parameters {
		parameters = append(parameters, map[string]string{"name": name, "string": value})
	}
	encoded, err := json.Marshal(parameters)
	if err != nil {
		t.Fatal(err)
	}
	bin, err := filepath.Abs("../../bin/envladder-plugin")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), bin, "generate")
	cmd.Dir = filepath.Join(root, "app")
	cmd.Env = []string{
		"ARGOCD_APP_NAME=" + r.app, "ARGOCD_APP_NAMESPACE=" + r.namespace, "ARGOCD_APP_PARAMETERS=" + string(encoded),
		"KUBE_VERSION=" + kubeVersion, "KUBE_API_VERSIONS=" + apiVersions,
	}
	return run(cmd)
}

// run runs a command and returns its standard output.
func run(cmd *exec.Cmd) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%w: %.2000s", err, stderr.String())
	}
	return stdout.String(), nil
}

// write writes a file and its folder.
func write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// copyChart copies a chart, which is a folder or a package.
func copyChart(t *testing.T, from, to string) {
	t.Helper()
	info, err := os.Stat(from)
	if err == nil && info.IsDir() {
		err = os.CopyFS(to, os.DirFS(from))
	} else if err == nil {
		var data []byte
		if data, err = os.ReadFile(from); err == nil {
			err = os.WriteFile(to, data, 0o600)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// defaults returns the inputs for most charts.
func defaults(chart string) rendering {
	return rendering{chart: chart, values: "{}", app: "argocd_mine", release: "mine", namespace: "apps"}
}

// check compares both outputs, and reports whether Helm accepts the chart.
func (r rendering) check(t *testing.T) bool {
	t.Helper()
	want, helmErr := r.helm(t)
	got, err := r.plugin(t)
	if helmErr != nil {
		t.Logf("helm: %.300v", helmErr)
	}
	switch {
	case (err == nil) != (helmErr == nil):
		t.Errorf("helm: %v\nenvladder-plugin: %v", helmErr, err)
	case err == nil && got != want:
		if want, got = r.withoutNondeterminism(t, want, got); got == want {
			break
		}
		at := 0
		for at < min(len(got), len(want)) && got[at] == want[at] {
			at++
		}
		t.Errorf("outputs differ after %d bytes of %d and %d\nhelm: %.300q\nenvladder-plugin: %.300q", at, len(want), len(got), want[at:], got[at:])
	}
	return helmErr == nil
}

// withoutNondeterminism removes from both outputs the lines in which two renders by Helm
// differ: some charts generate passwords.
func (r rendering) withoutNondeterminism(t *testing.T, want, got string) (string, string) {
	t.Helper()
	again, err := r.helm(t)
	if err != nil {
		t.Fatal(err)
	}
	first, second, ours := strings.Split(want, "\n"), strings.Split(again, "\n"), strings.Split(got, "\n")
	if len(first) != len(second) || len(first) != len(ours) {
		return want, got
	}
	for i := range first {
		if first[i] != second[i] {
			first[i], ours[i] = "", ""
		}
	}
	return strings.Join(first, "\n"), strings.Join(ours, "\n")
}

// TestTestdataCharts compares all charts in the test data of Helm and Argo CD.
func TestTestdataCharts(t *testing.T) {
	helm := linkedModule(t, "helm.sh/helm/v3")
	argo := linkedModule(t, "github.com/argoproj/argo-cd/v2")
	accepted, rejected := 0, 0
	for _, root := range []string{helm, argo} {
		for _, chart := range chartsBelow(t, root) {
			name, err := filepath.Rel(filepath.Dir(root), chart)
			if err != nil {
				t.Fatal(err)
			}
			t.Run(name, func(t *testing.T) {
				if defaults(chart).check(t) {
					accepted++
				} else {
					rejected++
				}
			})
		}
	}
	t.Logf("%d charts accepted, %d rejected by both", accepted, rejected)
	if accepted < 50 || rejected < 10 {
		t.Errorf("%d charts accepted and %d rejected, want at least 50 and 10: has the test data moved?", accepted, rejected)
	}
}

// chartsBelow returns the folders and packages in testdata that may be charts.
func chartsBelow(t *testing.T, root string) []string {
	t.Helper()
	var charts []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !strings.Contains(path, "testdata") {
			return err
		}
		if entry.Name() == "Chart.yaml" && entry.Type().IsRegular() {
			charts = append(charts, filepath.Dir(path))
		}
		if strings.HasSuffix(path, ".tgz") && entry.Type().IsRegular() {
			charts = append(charts, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return charts
}

// TestLargeCharts compares public charts of other projects.
func TestLargeCharts(t *testing.T) {
	cilium := filepath.Join(module(t, "github.com/cilium/cilium@v1.16.5"), "install/kubernetes/cilium")
	kyverno := filepath.Join(module(t, "github.com/kyverno/kyverno@v1.18.2"), "charts")
	for _, tt := range []struct {
		name string
		rendering
		rejected bool
	}{
		{"cilium without generated certificates", rendering{
			chart: cilium, app: "cilium", release: "cilium", namespace: "kube-system",
			values: "hubble: {tls: {enabled: false}, relay: {enabled: true}, ui: {enabled: true}}\nclustermesh: {apiserver: {tls: {auto: {enabled: false}}}}\nprometheus: {enabled: true}\noperator: {prometheus: {enabled: true}}\n",
		}, false},
		{"kyverno's policies", defaults(filepath.Join(kyverno, "kyverno-policies")), false},
		{"kyverno's policies enforced", rendering{
			chart: filepath.Join(kyverno, "kyverno-policies"), app: "team_policies", release: "policies", namespace: "kyverno",
			values: "podSecurityStandard: restricted\nvalidationFailureAction: Enforce\n",
		}, false},
		{"kyverno with missing dependencies", defaults(filepath.Join(kyverno, "kyverno")), true},
		{"kyverno with its available dependencies", defaults(trimmedKyverno(t, filepath.Join(kyverno, "kyverno"))), false},
		{"kyverno without CRDs and tests", rendering{
			chart: trimmedKyverno(t, filepath.Join(kyverno, "kyverno")), app: "kyverno", release: "kyverno", namespace: "kyverno",
			values: "crds: {install: false}\ngrafana: {enabled: true}\n", parameters: map[string]string{"skipCrds": "true", "skipTests": "true"}, flags: []string{"--skip-tests"},
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if accepted := tt.check(t); accepted == tt.rejected {
				t.Errorf("Helm accepts the chart: %v, want %v", accepted, !tt.rejected)
			}
		})
	}
}

// trimmedKyverno returns a copy of the chart that lists only the dependencies which its module
// contains.
func trimmedKyverno(t *testing.T, chart string) string {
	t.Helper()
	trimmed := filepath.Join(t.TempDir(), "kyverno")
	copyChart(t, chart, trimmed)
	name := filepath.Join(trimmed, "Chart.yaml")
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var metadata map[string]any
	if err := yaml.Unmarshal(data, &metadata); err != nil {
		t.Fatal(err)
	}
	dependencies, _ := metadata["dependencies"].([]any)
	var kept []any
	for _, dependency := range dependencies {
		named, _ := dependency.(map[string]any)
		_, err := os.Stat(filepath.Join(trimmed, "charts", fmt.Sprint(named["name"])))
		if err == nil {
			kept = append(kept, dependency)
		} else if !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	if len(kept) != 2 || len(kept) == len(dependencies) {
		t.Fatalf("found %d of %d dependencies", len(kept), len(dependencies))
	}
	metadata["dependencies"] = kept
	if data, err = yaml.Marshal(metadata); err != nil {
		t.Fatal(err)
	}
	// The module cache is read-only, and so is the copy.
	if err := os.Chmod(name, 0o600); err != nil {
		t.Fatal(err)
	}
	write(t, name, string(data))
	return trimmed
}
