package chart

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	helm "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	helmrelease "helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/releaseutil"
)

// Manifest is one rendered document, or one file of CRDs alone.
type Manifest struct {
	// Source is the template's or CRD's path from the chart's name on.
	Source string
	// Content is YAML without the document's separator.
	Content string
	// CRDs is set for a file of the chart's folder crds/.
	CRDs bool
	// Stray is set for a document of such a file that is no CustomResourceDefinition.
	Stray bool
	// Hook is set for Helm's hooks, Test for those that `helm test` runs.
	Hook bool
	Test bool
}

// String is the manifest as Helm prints it.
func (m Manifest) String() string {
	return fmt.Sprintf("---\n# Source: %s\n%s\n", m.Source, m.Content)
}

// Manifests are in the order that Helm prints them: CRDs, then objects in the order of
// their installation, then hooks.
type Manifests []Manifest

// Print writes what `helm template --include-crds` prints.
func (ms Manifests) Print(w io.Writer) error {
	var objects, hooks strings.Builder
	for _, m := range ms {
		if m.Hook {
			hooks.WriteString(m.String())
		} else {
			objects.WriteString(m.String())
		}
	}
	_, err := fmt.Fprintf(w, "%s\n%s", strings.TrimSpace(objects.String()), hooks.String())
	return err
}

// Render renders the chart with values, the result of Merge. An empty rendering is an
// error: to Argo CD it would mean to delete everything.
func (c *Chart) Render(values map[string]any, release Release) (Manifests, error) {
	return c.Manifests(Recipe{Values: values, Release: release})
}

// render takes the chart to manifests. Where traced is set it is told of each template
// before that is executed.
func (c *Chart) render(r Recipe, traced func(template string)) (Manifests, error) {
	if err := CheckReleaseName(r.Release.Name); err != nil {
		return nil, err
	}
	capabilities, err := capabilitiesOf(r.Release)
	if err != nil {
		return nil, err
	}
	if want := c.pristine.Metadata.KubeVersion; want != "" && !chartutil.IsCompatibleRange(want, capabilities.KubeVersion.String()) {
		return nil, fmt.Errorf("it requires Kubernetes %s, and this is %s: choose the destination's version (--kube-version; Argo CD passes that of its cluster)", want, capabilities.KubeVersion.String())
	}
	copied := clone(c.pristine)
	if err := chartutil.ProcessDependenciesWithMerge(copied, r.Values); err != nil {
		return nil, err
	}
	toRender, err := renderValues(copied, r.Values, r.Release, capabilities)
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
	if traced != nil {
		instrument(copied)
		toRender["Capabilities"] = tracer{Capabilities: capabilities, report: traced}
	}
	files, err := engine.Engine{EnableDNS: false}.Render(copied, toRender)
	if err != nil {
		return nil, err
	}
	if err := checkSize(copied, files); err != nil {
		return nil, err
	}
	if traced != nil {
		if err := parseEach(files, traced); err != nil {
			return nil, err
		}
	}
	return collect(copied, files)
}

// maxManifests bounds a rendering, in bytes. Argo CD takes 100 MiB in an answer
// (ARGOCD_GRPC_MAX_SIZE_MB), and the largest public charts render to less than 5 MiB.
const maxManifests = 64 << 20

// checkSize comes before anything is parsed, which takes many times the memory.
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

func renderValues(c *helm.Chart, values map[string]any, release Release, capabilities *chartutil.Capabilities) (chartutil.Values, error) {
	namespace := release.Namespace
	if namespace == "" {
		namespace = "default"
	}
	options := chartutil.ReleaseOptions{Name: release.Name, Namespace: namespace, Revision: 1, IsInstall: true}
	const skipHelmsSchemaCheck = true // it follows references to files and servers
	return chartutil.ToRenderValuesWithSchemaValidation(c, values, options, capabilities, skipHelmsSchemaCheck)
}

// parseEach parses what each template gave alone, as collect does with all.
func parseEach(files map[string]string, traced func(template string)) error {
	defer traced("")
	for _, name := range slices.Sorted(maps.Keys(files)) {
		traced(name)
		if _, _, err := releaseutil.SortManifests(map[string]string{name: files[name]}, nil, releaseutil.InstallOrder); err != nil {
			return err
		}
	}
	return nil
}

// collect puts what the templates gave into Helm's order.
func collect(c *helm.Chart, files map[string]string) (Manifests, error) {
	for name := range files {
		if strings.HasSuffix(name, "NOTES.txt") {
			delete(files, name)
		}
	}
	hooks, objects, err := releaseutil.SortManifests(files, nil, releaseutil.InstallOrder)
	if err != nil {
		return nil, err
	}
	var manifests Manifests
	for _, crd := range c.CRDObjects() {
		manifests = append(manifests, crdManifests(crd.Filename, string(crd.File.Data))...)
	}
	for _, object := range objects {
		manifests = append(manifests, Manifest{Source: object.Name, Content: object.Content})
	}
	for _, hook := range hooks {
		test := slices.Contains(hook.Events, helmrelease.HookTest)
		manifests = append(manifests, Manifest{Source: hook.Path, Content: hook.Manifest, Hook: true, Test: test})
	}
	return manifests, nil
}

// HasObject reports whether there is anything that a sync applies: more than comments,
// lists of nothing, and hooks such as the tests of `helm test`.
func (ms Manifests) HasObject() bool {
	return slices.ContainsFunc(ms, func(m Manifest) bool {
		objects, err := objectsOf(m.Content)
		found := err != nil // SortManifests has parsed the objects; a CRD that can't be is for Argo CD to refuse
		for _, object := range objects {
			visitItems(object, func(item map[string]any) {
				metadata, _ := item["metadata"].(map[string]any)
				found = found || item["kind"] != nil && item["kind"] != "" && applied(metadata)
			})
		}
		return found
	})
}
