package main

import (
	"cmp"

	"github.com/spf13/pflag"

	"github.com/envladder/envladder/internal/chart"
	"github.com/envladder/envladder/internal/ladder"
)

// releaseFlags are what templates see of where they are installed, with the names that
// `helm template` has for them.
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

// check rejects what no chart could be rendered with.
func (f *releaseFlags) check() error {
	return chart.CheckKubeVersion(f.release.KubeVersion)
}

// of returns the release that a step is rendered as.
func (f *releaseFlags) of(step ladder.Step) chart.Release {
	release := f.release
	release.Name = cmp.Or(release.Name, step.Ladder)
	return release
}
