package chart

import (
	helm "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
)

// Helm's engine says which template it is in only by an error of that template. So
// that others can be told, each template gets an action in front that calls the tracer,
// which stands where the templates find .Capabilities.

// tracer is Helm's capabilities with one method more.
type tracer struct {
	*chartutil.Capabilities

	report func(template string)
}

// EnvladderTrace is for the action that instrument writes.
func (t tracer) EnvladderTrace(template string) string {
	t.report(template)
	return ""
}

// instrument changes the templates of c, a clone, and of its dependencies. The action
// does nothing where a template is included with other data than its own: then the
// template that includes it is the one in work.
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
