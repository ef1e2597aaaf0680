package chart

import (
	"cmp"
	"fmt"
	"slices"

	"helm.sh/helm/v3/pkg/chartutil"
)

// What templates see of Helm and, unless the release says otherwise, of Kubernetes.
// Helm's releases have both from their linker's flags, the second from the version of
// client-go that they are built with; a program that merely links Helm would speak of
// v3.18 and of Kubernetes 1.20. As constants they hold for `go install` too; a test
// holds them to go.mod.
const (
	HelmVersion        = "v3.18.6"
	DefaultKubeVersion = "v1.33.0"
)

// Release is what templates see of where they are installed.
type Release struct {
	// Name as CheckReleaseName allows it.
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

// CheckReleaseName refuses what Helm refuses as a release's name, in words that say
// what is allowed.
func CheckReleaseName(name string) error {
	if len(name) > maxReleaseName {
		return fmt.Errorf("release name %q has %d characters, and Helm allows %d", name, len(name), maxReleaseName)
	}
	if err := chartutil.ValidateReleaseName(name); err != nil {
		return fmt.Errorf("release name %q: Helm allows lower-case letters, digits, dashes and dots, with a letter or digit at both ends", name)
	}
	return nil
}

// CheckKubeVersion rejects what isn't a version of Kubernetes. An empty one stands for
// the default.
func CheckKubeVersion(version string) error {
	_, err := parseKubeVersion(version)
	return err
}

func parseKubeVersion(text string) (*chartutil.KubeVersion, error) {
	version, err := chartutil.ParseKubeVersion(cmp.Or(text, DefaultKubeVersion))
	if err != nil {
		return nil, fmt.Errorf("parsing Kubernetes version %q: %w", text, err)
	}
	return version, nil
}

func capabilitiesOf(release Release) (*chartutil.Capabilities, error) {
	capabilities := chartutil.DefaultCapabilities.Copy()
	version, err := parseKubeVersion(release.KubeVersion)
	if err != nil {
		return nil, err
	}
	capabilities.KubeVersion = *version
	capabilities.HelmVersion.Version = HelmVersion
	// The known versions are Helm's own slice: appending to it could write into it.
	capabilities.APIVersions = slices.Concat(capabilities.APIVersions, release.APIVersions)
	return capabilities, nil
}
