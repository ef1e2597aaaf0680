package plugin

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/plugin/pluginpb"
)

// The parameters that an Application may set (spec.source.plugin.parameters).
const (
	ParameterEnvironment = "environment"
	ParameterTarget      = "target"
	ParameterReleaseName = "releaseName"
)

// The environment variables that Argo CD sets for a plugin.
const (
	envAppName      = "ARGOCD_APP_NAME"
	envAppNamespace = "ARGOCD_APP_NAMESPACE"
	envSourcePath   = "ARGOCD_APP_SOURCE_PATH"
	envParameters   = "ARGOCD_APP_PARAMETERS"
	envKubeVersion  = "KUBE_VERSION"
	envAPIVersions  = "KUBE_API_VERSIONS"
	// envParameter and a parameter's name in capitals.
	envParameter = "PARAM_"
)

// requestFrom takes Argo CD's variables to a request; its Repository and Dir are for
// the caller to set.
func requestFrom(getenv func(string) string) (Request, error) {
	parameters, err := parseParameters(getenv)
	if err != nil {
		return Request{}, err
	}
	return Request{
		Environment: parameters[ParameterEnvironment],
		Target:      parameters[ParameterTarget],
		ReleaseName: parameters[ParameterReleaseName],
		AppName:     getenv(envAppName),
		Namespace:   getenv(envAppNamespace),
		KubeVersion: getenv(envKubeVersion),
		APIVersions: splitList(getenv(envAPIVersions)),
	}, nil
}

// parameter is one of ARGOCD_APP_PARAMETERS.
type parameter struct {
	Name   string            `json:"name"`
	String *string           `json:"string"`
	Array  []string          `json:"array"`
	Map    map[string]string `json:"map"`
}

// parseParameters reads ARGOCD_APP_PARAMETERS, and the variable of each parameter where
// that isn't set, as by a person who tries the plugin in a shell.
func parseParameters(getenv func(string) string) (map[string]string, error) {
	known := []string{ParameterEnvironment, ParameterTarget, ParameterReleaseName}
	values := map[string]string{}
	document := getenv(envParameters)
	if document == "" {
		for _, name := range known {
			values[name] = getenv(envParameter + strings.ToUpper(name))
		}
		return values, nil
	}
	var parameters []parameter
	if err := json.Unmarshal([]byte(document), &parameters); err != nil {
		return nil, fmt.Errorf("parsing %s: %w", envParameters, err)
	}
	for _, name := range known {
		values[name] = ""
	}
	for _, p := range parameters {
		if _, ok := values[p.Name]; !ok {
			return nil, fmt.Errorf("parameter %q is unknown: there are %s", p.Name, strings.Join(known, ", "))
		}
		if p.String == nil || p.Array != nil || p.Map != nil {
			return nil, fmt.Errorf("parameter %q must be a string", p.Name)
		}
		values[p.Name] = *p.String
	}
	return values, nil
}

// splitList is a list as Argo CD joins it.
func splitList(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

// announce says which parameters there are. The protocol knows no enumeration, so the
// tooltips name the choices.
func announce(document *ladder.Document) []*pluginpb.ParameterAnnouncement {
	return []*pluginpb.ParameterAnnouncement{
		{
			Name:           ParameterEnvironment,
			Title:          "Environment",
			Tooltip:        fmt.Sprintf("Environment of the ladder %q: %s", document.Metadata.Name, environmentNames(document)),
			Required:       true,
			ItemType:       "string",
			CollectionType: "string",
		},
		{
			Name:           ParameterTarget,
			Title:          "Target",
			Tooltip:        targetTooltip(document),
			ItemType:       "string",
			CollectionType: "string",
		},
		{
			Name:           ParameterReleaseName,
			Title:          "Release name",
			Tooltip:        "Helm's release name, if it isn't the Application's name; at most 53 characters",
			ItemType:       "string",
			CollectionType: "string",
		},
	}
}

func targetTooltip(document *ladder.Document) string {
	var byEnvironment []string
	for _, environment := range document.Spec.Environments {
		var names []string
		for _, target := range environment.Targets {
			names = append(names, target.Name)
		}
		if len(names) > 0 {
			byEnvironment = append(byEnvironment, fmt.Sprintf("of %s: %s", environment.Name, strings.Join(names, ", ")))
		}
	}
	if len(byEnvironment) == 0 {
		return "No environment of this ladder has targets: leave it empty"
	}
	return "Target " + strings.Join(byEnvironment, "; ") + "; empty for the other environments"
}
