package chart

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	helm "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	helmrelease "helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/releaseutil"

	"github.com/envladder/envladder/internal/chart/manifest"
	"github.com/envladder/envladder/internal/chart/postrender"
	"github.com/envladder/envladder/internal/layers"
)

// Render renders the chart. A wrong value results in a *SchemaError or a
// *layers.TypeConflictError; Explain adds where the value comes from. A rendering without objects
// is an error unless the options allow it.
func (c *Chart) Render(o RenderOptions) (manifest.Manifests, error) {
	return c.renderTraced(o, nil)
}

// Trace renders like Render to find the template that doesn't end, or that ends the
// process. It calls report with a template before that is executed, before its output is
// parsed, and before its manifests are checked and annotated; with "" while all are in
// progress. The rendering may differ from Render's, and isn't returned.
func (c *Chart) Trace(o RenderOptions, report func(template string)) error {
	_, err := c.renderTraced(o, report)
	return err
}

func (c *Chart) renderTraced(o RenderOptions, report func(template string)) (manifest.Manifests, error) {
	if o.RejectTypeConflicts {
		if err := layers.CheckTypes(o.Values, o.Nulls, c.Defaults()); err != nil {
			return nil, err
		}
	}
	rendered, err := c.execute(o, report)
	if err == nil {
		rendered, err = filter(rendered, o)
	}
	if err != nil {
		return nil, fmt.Errorf("rendering chart %q: %w", c.Path, err)
	}
	if report != nil {
		if err := postRenderEach(rendered, o, report); err != nil {
			return nil, err
		}
	}
	return postrender.Run(rendered, o.postRender())
}

// postRenderEach post-renders each manifest alone.
func postRenderEach(manifests manifest.Manifests, o RenderOptions, report func(template string)) error {
	defer report("")
	for _, m := range manifests {
		report(m.Source)
		if _, err := postrender.Run(manifest.Manifests{m}, o.postRender()); err != nil {
			return err
		}
	}
	return nil
}

// filter removes what the options leave out, and checks the rest.
func filter(manifests manifest.Manifests, o RenderOptions) (manifest.Manifests, error) {
	remaining := slices.DeleteFunc(manifests, func(m manifest.Manifest) bool {
		return (o.SkipCRDs && m.CRDs) || (o.SkipTests && m.Test)
	})
	for _, m := range remaining {
		if !utf8.ValidString(m.Content) {
			return nil, fmt.Errorf("template %q renders to text that isn't UTF-8, which Argo CD can't read", m.Source)
		}
	}
	if !o.AllowEmpty && !remaining.HasObject() {
		return nil, errors.New("it renders to nothing with these values: to Argo CD that means to delete everything")
	}
	if !o.LiteralSecrets {
		return remaining, postrender.CheckSecrets(remaining)
	}
	return remaining, nil
}

// execute executes the chart's templates. If report isn't nil, execute calls it with each
// template before that is executed.
func (c *Chart) execute(o RenderOptions, report func(template string)) (manifest.Manifests, error) {
	if err := CheckReleaseName(o.Release.Name); err != nil {
		return nil, err
	}
	capabilities, err := capabilitiesOf(o.Release)
	if err != nil {
		return nil, err
	}
	if want := c.pristine.Metadata.KubeVersion; want != "" && !chartutil.IsCompatibleRange(want, capabilities.KubeVersion.String()) {
		return nil, fmt.Errorf("it requires Kubernetes %s, and this is %s: choose the destination's version (--kube-version; Argo CD passes that of its cluster)", want, capabilities.KubeVersion.String())
	}
	copied := clone(c.pristine)
	if err := chartutil.ProcessDependenciesWithMerge(copied, o.Values); err != nil {
		return nil, err
	}
	toRender, err := renderValues(copied, o.Values, o.Release, capabilities)
	if err != nil {
		return nil, err
	}
	merged, err := toRender.Table("Values")
	if err != nil {
		return nil, err
	}
	if err := c.schemas.check(copied, merged); err != nil {
		return nil, err
	}
	if report != nil {
		instrument(copied)
		toRender["Capabilities"] = tracer{Capabilities: capabilities, report: report}
	}
	files, err := engine.Engine{EnableDNS: false}.Render(copied, toRender)
	if err != nil {
		return nil, err
	}
	if err := checkSize(copied, files); err != nil {
		return nil, err
	}
	if report != nil {
		if err := parseEach(files, report); err != nil {
			return nil, err
		}
	}
	return collect(copied, files)
}

// maxManifests bounds a rendering, in bytes. Argo CD accepts answers of up to 100 MiB
// (ARGOCD_GRPC_MAX_SIZE_MB), and the largest public charts render to less than 5 MiB.
const maxManifests = 64 << 20

// checkSize checks the size before the manifests are parsed, which takes many times the
// memory.
func checkSize(c *helm.Chart, files map[string]string) error {
	total, largest := 0, ""
	for _, name := range slices.Sorted(maps.Keys(files)) {
		total += len(name) + len(files[name])
		if largest == "" || len(files[name]) > len(files[largest]) {
			largest = name
		}
	}
	for _, crd := range c.CRDObjects() {
		total += len(crd.Filename) + len(crd.File.Data)
	}
	if total > maxManifests {
		return fmt.Errorf("it renders to more than %d MiB, most of them by template %q", maxManifests>>20, largest)
	}
	return nil
}

// renderValues returns what the templates see at their root.
func renderValues(c *helm.Chart, values map[string]any, release Release, capabilities *chartutil.Capabilities) (chartutil.Values, error) {
	namespace := release.Namespace
	if namespace == "" {
		namespace = "default"
	}
	options := chartutil.ReleaseOptions{Name: release.Name, Namespace: namespace, Revision: 1, IsInstall: true}
	const skipHelmsSchemaCheck = true // it follows references to files and servers
	return chartutil.ToRenderValuesWithSchemaValidation(c, values, options, capabilities, skipHelmsSchemaCheck)
}

// parseEach parses each template's output alone, as collect parses all.
func parseEach(files map[string]string, report func(template string)) error {
	defer report("")
	for _, name := range slices.Sorted(maps.Keys(files)) {
		report(name)
		if _, _, err := releaseutil.SortManifests(map[string]string{name: files[name]}, nil, releaseutil.InstallOrder); err != nil {
			return err
		}
	}
	return nil
}

// collect returns the outputs of the templates in Helm's order.
func collect(c *helm.Chart, files map[string]string) (manifest.Manifests, error) {
	for name := range files {
		if strings.HasSuffix(name, "NOTES.txt") {
			delete(files, name)
		}
	}
	hooks, objects, err := releaseutil.SortManifests(files, nil, releaseutil.InstallOrder)
	if err != nil {
		return nil, err
	}
	var manifests manifest.Manifests
	for _, crd := range c.CRDObjects() {
		manifests = append(manifests, manifest.FromCRDFile(crd.Filename, string(crd.File.Data))...)
	}
	for _, object := range objects {
		manifests = append(manifests, manifest.Manifest{Source: object.Name, Content: object.Content})
	}
	for _, hook := range hooks {
		test := slices.Contains(hook.Events, helmrelease.HookTest)
		manifests = append(manifests, manifest.Manifest{Source: hook.Path, Content: hook.Manifest, Hook: true, Test: test})
	}
	return manifests, nil
}
