package chart

import (
	"cmp"
	"fmt"
	"slices"

	"helm.sh/helm/v3/pkg/chartutil"
)

// The versions of Helm and, unless the release has another, of Kubernetes that templates
// see. Helm's releases set both with linker flags, the second to the version of client-go
// that they are built with; a program that only links Helm would report v3.18 and
// Kubernetes 1.20. Constants work with `go install` too, and a test compares them with
// go.mod.
const (
	HelmVersion        = "v3.18.6"
	DefaultKubeVersion = "v1.33.0"
)

// Release is what templates see of the release and of the cluster.
type Release struct {
	// Name must pass CheckReleaseName.
	Name string
	// Namespace is "default" where empty, as with Helm.
	Namespace string
	// KubeVersion such as 1.34.4; DefaultKubeVersion where empty.
	KubeVersion string
	// APIVersions beyond those that Helm knows, such as monitoring.coreos.com/v1 or
	// monitoring.coreos.com/v1/ServiceMonitor.
	APIVersions []string
}

// maxReleaseName is Helm's bound, so that names made of it fit into 63 characters.
const maxReleaseName = 53

// CheckReleaseName rejects the release names that Helm rejects. The error describes what is
// allowed.
func CheckReleaseName(name string) error {
	if len(name) > maxReleaseName {
		return fmt.Errorf("release name %q has %d characters, and Helm allows %d", name, len(name), maxReleaseName)
	}
	if err := chartutil.ValidateReleaseName(name); err != nil {
		return fmt.Errorf("release name %q: Helm allows lower-case letters, digits, dashes and dots, with a letter or digit at both ends", name)
	}
	return nil
}

// CheckKubeVersion rejects an invalid version of Kubernetes. An empty one stands for the
// default.
func CheckKubeVersion(version string) error {
	_, err := parseKubeVersion(version)
	return err
}

// parseKubeVersion parses a version of Kubernetes, or the default where it is empty.
func parseKubeVersion(text string) (*chartutil.KubeVersion, error) {
	version, err := chartutil.ParseKubeVersion(cmp.Or(text, DefaultKubeVersion))
	if err != nil {
		return nil, fmt.Errorf("parsing Kubernetes version %q: %w", text, err)
	}
	return version, nil
}

// capabilitiesOf returns what templates see as .Capabilities.
func capabilitiesOf(release Release) (*chartutil.Capabilities, error) {
	capabilities := chartutil.DefaultCapabilities.Copy()
	version, err := parseKubeVersion(release.KubeVersion)
	if err != nil {
		return nil, err
	}
	capabilities.KubeVersion = *version
	capabilities.HelmVersion.Version = HelmVersion
	// the known versions are Helm's own slice, which must not be appended to
	capabilities.APIVersions = slices.Concat(capabilities.APIVersions, release.APIVersions)
	return capabilities, nil
}
