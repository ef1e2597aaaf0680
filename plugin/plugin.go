// Package plugin implements Argo CD's config management plugin protocol. Serve answers the
// repo-server on the plugin's socket; Exec is for a program that argocd-cmp-server runs. Both
// render one environment of a ladder from a repository to manifests, as `envladder render`
// does with Generate.
//
// internal/ladder parses a repository's documents, and internal/chart renders. Everything that
// is received on the socket is bounded.
package plugin

import (
	"context"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/envladder/envladder/internal/chart"
	"github.com/envladder/envladder/internal/chart/manifest"
	"github.com/envladder/envladder/internal/chart/postrender"
	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/layers"
)

// Request is a request for the manifests of one environment.
type Request struct {
	// Repository is the repository from its root.
	Repository fs.FS
	// Charts reads charts from registries; nil rejects them.
	Charts *chart.Puller
	// Dir is the folder of ladder.yaml in the repository, the Application's path.
	Dir string
	// Environment and Target select the environment of the ladder.
	Environment string
	Target      string
	// PullRequest is the number of the pull request, and Images are its digests by name, for
	// environment preview. Other environments accept neither: their digests are in their pins,
	// which only Git can change.
	PullRequest string
	Images      map[string]string
	// Values by path are set after all layers, as helm --set does, where the Ladder's
	// overrides allow it. Strings are set as helm --set-string does.
	Values  map[string]string
	Strings map[string]string
	// AppName is the Application's name as Argo CD gives it: name, or
	// namespace_name for an Application outside of Argo CD's own namespace.
	AppName string
	// ReleaseName replaces the name that is derived from AppName.
	ReleaseName string
	// Namespace is the destination's; "default" where empty.
	Namespace string
	// KubeVersion and APIVersions are the destination's; see chart.Release.
	KubeVersion string
	APIVersions []string
	// SkipCRDs, SkipTests and AllowEmpty are as chart.RenderOptions has them.
	SkipCRDs   bool
	SkipTests  bool
	AllowEmpty bool
}

// Generate renders the requested environment in this process. It stamps the manifests unless
// the Ladder turns that off.
func Generate(ctx context.Context, r Request) (manifest.Manifests, error) {
	found, err := r.resolve(ctx)
	if err != nil {
		return nil, err
	}
	loaded, err := found.source.Load()
	if err != nil {
		return nil, err
	}
	// Helm's engine can't be stopped, so it isn't started when the caller has left
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	manifests, err := loaded.Render(found.options)
	return manifests, chart.Explain(err, found.merged)
}

// resolved is everything that a rendering depends on, and the origin of its values.
type resolved struct {
	source  *chart.Source
	options chart.RenderOptions
	merged  *layers.Merged
}

// resolve reads everything that the rendering depends on, within bounds. It doesn't parse the
// chart, since its author decides how much work that is.
func (r Request) resolve(ctx context.Context) (resolved, error) {
	document, err := ladder.Open(r.Repository, r.Dir)
	if err != nil {
		return resolved{}, err
	}
	if r.Environment == "" {
		return resolved{}, fmt.Errorf("parameter %s is missing: ladder %q has %s", ParameterEnvironment, document.Metadata.Name, environmentNames(document))
	}
	environment, err := r.environment(document)
	if err != nil {
		return resolved{}, err
	}
	if environment, err = r.override(environment); err != nil {
		return resolved{}, fmt.Errorf("parameter %s: %w", ParameterValues, err)
	}
	release, err := r.release(environment)
	if err != nil {
		return resolved{}, err
	}
	merged, err := layers.Merge(ctx, r.Repository, environment)
	if err != nil {
		return resolved{}, err
	}
	source, err := r.Charts.Read(ctx, r.Repository, environment.Chart, document.Owns)
	if err != nil {
		return resolved{}, err
	}
	return resolved{source, r.options(environment, merged, release, source.Digest), merged}, nil
}

// environment resolves the requested environment. It accepts digests of an Application for previews
// only: elsewhere they would bypass the pins.
func (r Request) environment(document *ladder.Document) (ladder.Resolved, error) {
	if !ladder.IsPreview(r.Environment) {
		if r.PullRequest != "" || len(r.Images) > 0 {
			return ladder.Resolved{}, fmt.Errorf("parameters %s and %s are for environment preview: what %q runs is in its pins",
				ParameterPullRequest, ParameterImages, r.Environment)
		}
		return document.Resolve(r.Environment, r.Target)
	}
	if r.Target != "" {
		return ladder.Resolved{}, fmt.Errorf("parameter %s: environment preview has no targets", ParameterTarget)
	}
	number, err := strconv.Atoi(r.PullRequest)
	if err != nil || number < 1 || strconv.Itoa(number) != r.PullRequest {
		return ladder.Resolved{}, fmt.Errorf("parameter %s is %.40q: environment preview wants the number of a pull request", ParameterPullRequest, r.PullRequest)
	}
	return document.ResolvePreview(number, r.Images)
}

// override sets the values of the parameters.
func (r Request) override(environment ladder.Resolved) (ladder.Resolved, error) {
	values, err := chart.ParseOverrides(r.Values, r.Strings)
	if err != nil {
		return ladder.Resolved{}, err
	}
	return environment.Override(values)
}

// options returns the options of the rendering.
func (r Request) options(environment ladder.Resolved, merged *layers.Merged, release chart.Release, chartDigest string) chart.RenderOptions {
	options := chart.RenderOptions{
		Values:              merged.Values,
		RejectTypeConflicts: true,
		Nulls:               merged.Nulls(),
		Release:             release,
		SkipCRDs:            r.SkipCRDs,
		SkipTests:           r.SkipTests,
		AllowEmpty:          r.AllowEmpty,
		LiteralSecrets:      environment.LiteralSecrets,
		Pins:                environment.Pins,
		Preflight:           environment.Preflight,
	}
	if environment.Stamps != ladder.StampsOff {
		options.Stamps = &postrender.Stamps{
			Ladder:      environment.Ladder,
			Environment: environment.Environment,
			Target:      environment.Target,
			ChartDigest: chartDigest,
		}
	}
	return options
}

// release returns the release of the rendering.
func (r Request) release(environment ladder.Resolved) (chart.Release, error) {
	name := r.releaseName(environment)
	if err := chart.CheckReleaseName(name); err != nil {
		return chart.Release{}, fmt.Errorf("%w: set the parameter %s, or --release-name on the command line", err, ParameterReleaseName)
	}
	return chart.Release{
		Name:        name,
		Namespace:   r.Namespace,
		KubeVersion: r.KubeVersion,
		APIVersions: r.APIVersions,
	}, nil
}

// releaseName returns the name that Argo CD's own Helm source would use: the Application's
// name without its namespace. Without an Application it is the ladder's name.
func (r Request) releaseName(environment ladder.Resolved) string {
	if r.ReleaseName != "" {
		return r.ReleaseName
	}
	if r.AppName == "" {
		return environment.Ladder
	}
	if _, name, ok := strings.Cut(r.AppName, "_"); ok {
		return name
	}
	return r.AppName
}

// environmentNames joins the names of the environments.
func environmentNames(document *ladder.Document) string {
	return strings.Join(document.EnvironmentNames(), ", ")
}
