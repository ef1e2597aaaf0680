package plugin

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/plugin/pluginpb"
)

// The parameters that an Application may set (spec.source.plugin.parameters).
const (
	ParameterEnvironment = "environment"
	ParameterTarget      = "target"
	ParameterReleaseName = "releaseName"
	// ParameterPullRequest and ParameterImages are for environment preview alone.
	ParameterPullRequest = "pullRequest"
	ParameterImages      = "images"
	// ParameterValues are values that the ladder lets an Application set, as helm --set
	// reads them; ParameterStringValues are read as helm --set-string does.
	ParameterValues       = "values"
	ParameterStringValues = "stringValues"
	// The last three are switches: "true" or "false".
	ParameterSkipCRDs   = "skipCrds"
	ParameterSkipTests  = "skipTests"
	ParameterAllowEmpty = "allowEmpty"
)

// The environment variables that Argo CD sets for a plugin.
const (
	envAppName      = "ARGOCD_APP_NAME"
	envAppNamespace = "ARGOCD_APP_NAMESPACE"
	envSourcePath   = "ARGOCD_APP_SOURCE_PATH"
	envParameters   = "ARGOCD_APP_PARAMETERS"
	envKubeVersion  = "KUBE_VERSION"
	envAPIVersions  = "KUBE_API_VERSIONS"
	// envParameter is the prefix of a parameter's name in capitals.
	envParameter = "PARAM_"
)

// requestFrom parses Argo CD's variables to a request. The caller sets its Repository and Dir.
func requestFrom(getenv func(string) string) (Request, error) {
	parameters, err := parseParameters(getenv)
	if err != nil {
		return Request{}, err
	}
	request := Request{
		Environment: parameters.texts[ParameterEnvironment],
		Target:      parameters.texts[ParameterTarget],
		ReleaseName: parameters.texts[ParameterReleaseName],
		PullRequest: parameters.texts[ParameterPullRequest],
		Images:      parameters.images,
		Values:      parameters.values,
		Strings:     parameters.strings,
		AppName:     getenv(envAppName),
		Namespace:   getenv(envAppNamespace),
		KubeVersion: getenv(envKubeVersion),
		APIVersions: splitList(getenv(envAPIVersions)),
	}
	for name, set := range map[string]*bool{
		ParameterSkipCRDs: &request.SkipCRDs, ParameterSkipTests: &request.SkipTests, ParameterAllowEmpty: &request.AllowEmpty,
	} {
		if *set, err = parseSwitch(name, parameters.texts[name]); err != nil {
			return Request{}, err
		}
	}
	return request, nil
}

// parseSwitch parses the value of a boolean parameter.
func parseSwitch(name, text string) (bool, error) {
	switch text {
	case "true":
		return true, nil
	case "", "false":
		return false, nil
	default:
		return false, fmt.Errorf("parameter %q is %.40q: want true or false", name, text)
	}
}

// parameter is an entry of ARGOCD_APP_PARAMETERS.
type parameter struct {
	Name   string            `json:"name"`
	String *string           `json:"string"`
	Array  []string          `json:"array"`
	Map    map[string]string `json:"map"`
}

// parameters are an Application's parameters.
type parameters struct {
	texts  map[string]string
	images map[string]string
	values map[string]string
	// strings are values that aren't parsed as other types.
	strings map[string]string
}

// textParameters are the parameters with a string.
var textParameters = []string{
	ParameterEnvironment, ParameterTarget, ParameterReleaseName, ParameterPullRequest,
	ParameterSkipCRDs, ParameterSkipTests, ParameterAllowEmpty,
}

// mapParameters are the parameters with a map of strings.
var mapParameters = []string{ParameterImages, ParameterValues, ParameterStringValues}

// parseParameters parses ARGOCD_APP_PARAMETERS. If that isn't set, as in a shell, it reads the
// variable of each parameter instead.
func parseParameters(getenv func(string) string) (parameters, error) {
	parsed := parameters{texts: map[string]string{}}
	document := getenv(envParameters)
	if document == "" {
		for _, name := range textParameters {
			parsed.texts[name] = getenv(envParameter + strings.ToUpper(name))
		}
		return parsed, nil
	}
	var list []parameter
	if err := json.Unmarshal([]byte(document), &list); err != nil {
		return parameters{}, fmt.Errorf("parsing %s: %w", envParameters, err)
	}
	for _, p := range list {
		if err := parsed.set(p); err != nil {
			return parameters{}, err
		}
	}
	return parsed, nil
}

// set sets a parameter, which replaces an earlier one of the same name.
func (p *parameters) set(given parameter) error {
	switch {
	case slices.Contains(mapParameters, given.Name):
		return p.setMap(given)
	case !slices.Contains(textParameters, given.Name):
		return fmt.Errorf("parameter %q is unknown: want one of %s, %s", given.Name, strings.Join(textParameters, ", "), strings.Join(mapParameters, ", "))
	case given.String == nil || given.Array != nil || given.Map != nil:
		return fmt.Errorf("parameter %q must be a string", given.Name)
	default:
		p.texts[given.Name] = *given.String
	}
	return nil
}

// setMap sets a parameter that is a map.
func (p *parameters) setMap(given parameter) error {
	switch {
	case given.Name == ParameterImages && !given.isMap():
		return fmt.Errorf("parameter %q must be a map of digests by image name", given.Name)
	case !given.isMap():
		return fmt.Errorf("parameter %q must be a map of values by path", given.Name)
	}
	switch given.Name {
	case ParameterImages:
		p.images = given.Map
	case ParameterValues:
		p.values = given.Map
	case ParameterStringValues:
		p.strings = given.Map
	}
	return nil
}

// isMap reports whether the parameter is a map.
func (p parameter) isMap() bool { return p.Map != nil && p.String == nil && p.Array == nil }

// splitList splits a list that Argo CD has joined.
func splitList(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

// announce returns the parameters of a ladder. The protocol has no enumerations, so the
// tooltips list the choices.
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
			Name:           ParameterPullRequest,
			Title:          "Pull request",
			Tooltip:        previewTooltip(document, "Number of the pull request"),
			ItemType:       "string",
			CollectionType: "string",
		},
		{
			Name:           ParameterImages,
			Title:          "Images",
			Tooltip:        previewTooltip(document, "Digests (sha256:…) of the pull request's images, by name"),
			ItemType:       "string",
			CollectionType: "map",
		},
		{
			Name:           ParameterValues,
			Title:          "Values",
			Tooltip:        valuesTooltip(document),
			ItemType:       "string",
			CollectionType: "map",
		},
		{
			Name:           ParameterStringValues,
			Title:          "String values",
			Tooltip:        "As values, and always strings, as with helm --set-string",
			ItemType:       "string",
			CollectionType: "map",
		},
		{
			Name:           ParameterReleaseName,
			Title:          "Release name",
			Tooltip:        "Helm's release name, if it isn't the Application's name; at most 53 characters",
			ItemType:       "string",
			CollectionType: "string",
		},
		{
			Name:           ParameterSkipCRDs,
			Title:          "Skip CRDs",
			Tooltip:        "true leaves out the chart's folder crds/; false if empty",
			ItemType:       "boolean",
			CollectionType: "string",
		},
		{
			Name:           ParameterSkipTests,
			Title:          "Skip tests",
			Tooltip:        "true leaves out Helm's test hooks; false if empty",
			ItemType:       "boolean",
			CollectionType: "string",
		},
		{
			Name:           ParameterAllowEmpty,
			Title:          "Allow empty",
			Tooltip:        "true takes a rendering without objects, by which Argo CD deletes everything; false if empty",
			ItemType:       "boolean",
			CollectionType: "string",
		},
	}
}

func previewTooltip(document *ladder.Document, what string) string {
	if document.Spec.Preview == nil {
		return "This ladder has no spec.preview: leave it empty"
	}
	return what + "; for environment preview alone"
}

func valuesTooltip(document *ladder.Document) string {
	if len(document.Spec.Overrides) == 0 {
		return "Values by their paths, as helm --set reads them, as far as the ladder's overrides allow for the environment"
	}
	return "Values by their paths, as helm --set reads them, as far as the ladder allows: " + strings.Join(document.Spec.Overrides, ", ") + ", unless the environment has overrides of its own"
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
