// Package programs builds the programs that the test bed runs from Go modules. Each program is
// built once and cached by content outside the work tree. Package bed starts them.
package programs

import (
	"fmt"
	"strings"
)

// A Program is a binary that the bed can build.
type Program struct {
	Name    string
	Version string
	// Dir is the folder of the program's module below test/programs, or "." for a program of
	// the test module itself.
	Dir     string
	Package string
	// Module is the module that contains Package.
	Module  string
	LDFlags []string
	Tags    []string
	// Cgo is set if the program needs a C compiler. All other programs are built without cgo.
	Cgo bool
	// Seconds is the usual build time, on two cores and after the programs that precede it in
	// the table. Only the estimate of the remaining time depends on it.
	Seconds float64
	// OnRequest programs are built only when they are named, since only make interop and make
	// bench-webhook need them.
	OnRequest bool
}

const (
	etcdVersion         = "v3.6.4"
	kubernetesVersion   = "v1.34.4"
	kwokVersion         = "v0.8.0"
	helmVersion         = "v3.18.6"
	argoCDv3Version     = "v3.2.11"
	argoCDv2Version     = "v2.14.21"
	distributionVersion = "v3.1.2"
	craneVersion        = "v0.21.7"
	cosignVersion       = "v3.1.3"
	giteaVersion        = "v1.26.0"
	fulcioVersion       = "v1.8.8"
	rekorVersion        = "v2.3.0"
	timestampVersion    = "v2.1.3"
	tesseractVersion    = "v0.1.1"
	localKMSVersion     = "v0.0.0-20260228092603-2a5e92d09ab6"
	policyVersion       = "v0.13.1"
	rolloutsVersion     = "v1.9.1"
)

// ownModule is the module of programs that are built from the test module itself.
const ownModule = "github.com/envladder/envladder/test"

// table is in build order: programs that other parts depend on come first.
var table = []Program{
	{
		Name: "etcd", Version: etcdVersion, Dir: "etcd", Seconds: 20,
		Module: "go.etcd.io/etcd/server/v3", Package: "go.etcd.io/etcd/server/v3",
	},
	kubernetes("kube-apiserver", 161),
	kubernetes("kube-controller-manager", 52),
	kubernetes("kube-scheduler", 4),
	kubernetes("kubectl", 20),
	{
		Name: "kwok", Version: kwokVersion, Dir: "kwok", Seconds: 56,
		Module: "sigs.k8s.io/kwok", Package: "sigs.k8s.io/kwok/cmd/kwok",
	},
	{
		Name: "helm", Version: helmVersion, Dir: "helm", Seconds: 47,
		Module: "helm.sh/helm/v3", Package: "helm.sh/helm/v3/cmd/helm",
		LDFlags: []string{
			"-X helm.sh/helm/v3/internal/version.version=" + helmVersion,
			// Without these flags helm assumes Kubernetes 1.20.
			"-X helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor=1",
			"-X helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=33",
		},
	},
	argoCD("argocd-v3", argoCDv3Version, "github.com/argoproj/argo-cd/v3", 150),
	{
		Name: "referrers-registry", Version: craneVersion, Dir: ".", Seconds: 16,
		Module: ownModule, Package: ownModule + "/cmd/referrers-registry",
	},
	{
		Name: "distribution", Version: distributionVersion, Dir: "distribution", Seconds: 40,
		Module:  "github.com/distribution/distribution/v3",
		Package: "github.com/distribution/distribution/v3/cmd/registry",
	},
	{
		Name: "crane", Version: craneVersion, Dir: "crane", Seconds: 2,
		Module:  "github.com/google/go-containerregistry",
		Package: "github.com/google/go-containerregistry/cmd/crane",
	},
	{
		Name: "cosign", Version: cosignVersion, Dir: "cosign", Seconds: 90,
		Module: "github.com/sigstore/cosign/v3", Package: "github.com/sigstore/cosign/v3/cmd/cosign",
		LDFlags: []string{"-X sigs.k8s.io/release-utils/version.gitVersion=" + cosignVersion},
	},
	{
		Name: "gitea", Version: giteaVersion, Dir: "gitea", Seconds: 110,
		Module: "code.gitea.io/gitea", Package: "code.gitea.io/gitea",
		// The API reports this version, and clients reject "development".
		LDFlags: []string{"-X main.Version=" + strings.TrimPrefix(giteaVersion, "v")},
		Tags:    []string{"sqlite", "sqlite_unlock_notify"},
		Cgo:     true,
	},
	{
		Name: "argo-rollouts", Version: rolloutsVersion, Dir: "argo-rollouts", Seconds: 70,
		Module:  "github.com/argoproj/argo-rollouts",
		Package: "github.com/argoproj/argo-rollouts/cmd/rollouts-controller",
	},
	argoCD("argocd-v2", argoCDv2Version, "github.com/argoproj/argo-cd/v2", 150),
	{
		Name: "fulcio", Version: fulcioVersion, Dir: "fulcio", Seconds: 40, OnRequest: true,
		Module: "github.com/sigstore/fulcio", Package: "github.com/sigstore/fulcio",
	},
	{
		Name: "rekor", Version: rekorVersion, Dir: "rekor", Seconds: 40, OnRequest: true,
		Module: "github.com/sigstore/rekor-tiles/v2", Package: "github.com/sigstore/rekor-tiles/v2/cmd/rekor-server/posix",
	},
	{
		Name: "timestamp-server", Version: timestampVersion, Dir: "timestamp-server", Seconds: 20, OnRequest: true,
		Module: "github.com/sigstore/timestamp-authority/v2", Package: "github.com/sigstore/timestamp-authority/v2/cmd/timestamp-server",
	},
	{
		Name: "tesseract", Version: tesseractVersion, Dir: "tesseract", Seconds: 40, OnRequest: true,
		Module: "github.com/transparency-dev/tesseract", Package: "github.com/transparency-dev/tesseract/cmd/tesseract/posix",
	},
	{
		Name: "local-kms", Version: localKMSVersion, Dir: "local-kms", Seconds: 10, OnRequest: true,
		Module: "github.com/nsmithuk/local-kms", Package: "github.com/nsmithuk/local-kms",
	},
	{
		// The bed has its own main package around upstream's packages; its comment explains
		// why.
		Name: "policy-controller", Version: policyVersion, Dir: "policy-controller", Seconds: 90,
		Module: "github.com/sigstore/policy-controller", Package: ".",
		OnRequest: true,
	},
}

// kubernetes returns a program of Kubernetes.
func kubernetes(name string, seconds float64) Program {
	const version = "k8s.io/component-base/version"
	return Program{
		Name: name, Version: kubernetesVersion, Dir: "kubernetes", Seconds: seconds,
		Module: "k8s.io/kubernetes", Package: "k8s.io/kubernetes/cmd/" + name,
		// Clients parse these versions.
		LDFlags: []string{
			"-X " + version + ".gitVersion=" + kubernetesVersion,
			"-X " + version + ".gitMajor=1",
			"-X " + version + ".gitMinor=34",
		},
	}
}

// argoCD returns a version of Argo CD.
func argoCD(name, version, module string, seconds float64) Program {
	return Program{
		Name: name, Version: version, Dir: name, Seconds: seconds,
		Module: module, Package: module + "/cmd",
		LDFlags: []string{"-X " + module + "/common.version=" + strings.TrimPrefix(version, "v")},
	}
}

// All returns all programs in build order.
func All() []Program { return append([]Program(nil), table...) }

// Names returns the names of all programs in build order.
func Names() []string {
	names := make([]string, len(table))
	for i, p := range table {
		names[i] = p.Name
	}
	return names
}

// defaultNames returns the names of all programs that aren't built only on request.
func defaultNames() []string {
	var names []string
	for _, p := range table {
		if !p.OnRequest {
			names = append(names, p.Name)
		}
	}
	return names
}

// Lookup returns the program with the name.
func Lookup(name string) (Program, error) {
	for _, p := range table {
		if p.Name == name {
			return p, nil
		}
	}
	return Program{}, fmt.Errorf("unknown program %q: use one of %s", name, strings.Join(Names(), ", "))
}
