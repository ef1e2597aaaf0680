package chart

import (
	helm "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
)

// Helm's engine reports which template it executes only in an error of that template. For
// Trace, instrument adds an action to the start of each template that calls the tracer,
// which takes the place of .Capabilities.

// tracer is Helm's capabilities with one more method.
type tracer struct {
	*chartutil.Capabilities

	report func(template string)
}

// EnvladderTrace reports a template; the action that instrument adds calls it.
func (t tracer) EnvladderTrace(template string) string {
	t.report(template)
	return ""
}

// instrument adds the action to the templates of c, a clone, and of its dependencies. The
// action does nothing where a template is included with other data than its own: then the
// template that includes it counts as the one being executed.
func instrument(c *helm.Chart) {
	templates := make([]*helm.File, len(c.Templates))
	for i, t := range c.Templates {
		if t == nil {
			continue
		}
		action := `{{ if kindIs "map" $ }}{{ with get $ "Template" }}{{ $_ := $.Capabilities.EnvladderTrace .Name }}{{ end }}{{ end }}`
		templates[i] = &helm.File{Name: t.Name, Data: append([]byte(action), t.Data...)}
	}
	c.Templates = templates
	for _, child := range c.Dependencies() {
		instrument(child)
	}
}
