package main

import (
	"github.com/spf13/pflag"

	"github.com/envladder/envladder/internal/chart"
)

// releaseFlags are the flags for what templates see of the release and of the cluster, with
// the names that they have in `helm template`.
type releaseFlags struct {
	release    chart.Release
	allowEmpty bool
}

func (f *releaseFlags) addTo(flags *pflag.FlagSet) {
	flags.StringVar(&f.release.Name, "release-name", "", "Helm's release `name`; Argo CD uses the Application's name (default: the ladder's)")
	flags.StringVar(&f.release.Namespace, "namespace", "default", "`namespace` of the release")
	flags.StringVar(&f.release.KubeVersion, "kube-version", "", "Kubernetes `version` that templates see (default: "+chart.DefaultKubeVersion+", as with helm template)")
	flags.StringSliceVar(&f.release.APIVersions, "api-versions", nil, "API `versions` that templates see, in addition to those that Helm knows")
	flags.BoolVar(&f.allowEmpty, "allow-empty", false, "accept a rendering without objects, as the plugin's parameter allowEmpty does")
}

// check rejects an invalid version of Kubernetes.
func (f *releaseFlags) check() error {
	return chart.CheckKubeVersion(f.release.KubeVersion)
}
