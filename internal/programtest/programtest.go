package programtest

import (
	"os"
	"path/filepath"
	"testing"
)

// APIServer requires the programs that envtest runs, etcd and kube-apiserver. envtest itself reads
// the variable.
func APIServer(tb testing.TB) {
	tb.Helper()
	lookup(tb, "etcd and kube-apiserver", "KUBEBUILDER_ASSETS", `"$(bin/bed assets)"`)
}

// Kubectl returns the path of kubectl.
func Kubectl(tb testing.TB) string {
	tb.Helper()
	return filepath.Join(lookup(tb, "kubectl", "KUBEBUILDER_ASSETS", `"$(bin/bed assets)"`), "kubectl")
}

// Cosign returns the path of cosign.
func Cosign(tb testing.TB) string {
	tb.Helper()
	return lookup(tb, "cosign", "COSIGN", `"$(bin/bed path cosign)"`)
}

// Helm returns the path of helm.
func Helm(tb testing.TB) string {
	tb.Helper()
	return lookup(tb, "helm", "HELM", `"$(bin/bed path helm)"`)
}

// lookup returns the value of a variable. If it isn't set, the test is skipped or fails.
func lookup(tb testing.TB, program, variable, command string) string {
	tb.Helper()
	if path := os.Getenv(variable); path != "" {
		return path
	}
	const format = "needs %s: run `make test`, or `make build` and set %s=%s"
	if os.Getenv("ENVLADDER_SKIP") == "never" {
		tb.Fatalf(format, program, variable, command)
	}
	tb.Skipf(format, program, variable, command)
	return ""
}
