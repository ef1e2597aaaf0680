package main

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write the guard's tables to docs/install.md")

// The page that lists for users what the guard protects, and the lines around the generated
// part.
const (
	guardPage  = "../../docs/install.md"
	guardBegin = "<!-- guard: begin (go test ./hack/plain -run TestGuardPage -update) -->\n"
	guardEnd   = "<!-- guard: end -->\n"
)

// TestGuardPage checks that the page has every entry of the list.
func TestGuardPage(t *testing.T) {
	page, err := os.ReadFile(guardPage)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begins := strings.Cut(string(page), guardBegin)
	listed, after, ends := strings.Cut(rest, guardEnd)
	if !begins || !ends {
		t.Fatalf("%s has no line %q followed by a line %q", guardPage, guardBegin, guardEnd)
	}
	want := guardTables(readGuard(t))
	if *update {
		if err := os.WriteFile(guardPage, []byte(before+guardBegin+want+guardEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, listed); diff != "" {
		t.Errorf("%s doesn't match %s: run go test ./hack/plain -run TestGuardPage -update:\n%s", guardPage, guardFile, diff)
	}
}

// guardTables returns the list as tables in Markdown.
func guardTables(list guardList) string {
	var text strings.Builder
	table := func(title, head string, entries []guardEntry, cells func(guardEntry) []string) {
		fmt.Fprintf(&text, "\n%s\n\n%s\n|%s\n", title, head, strings.Repeat(" --- |", strings.Count(head, "|")-1))
		for _, entry := range entries {
			fmt.Fprintf(&text, "| %s |\n", strings.Join(cells(entry), " | "))
		}
	}
	full := func(e guardEntry) []string { return []string{e.Name, resourcesOf(e), e.Reason, e.Also} }
	short := func(e guardEntry) []string { return []string{e.Name, resourcesOf(e), e.Reason} }
	table("`envladder-guard` protects these objects in the whole cluster:", "| what | resources | why | who else may write it |", list.Cluster, full)
	table("`envladder-guard-namespace` closes envladder's own namespace for every kind, most importantly:", "| what | resources | why |", list.Namespace, short)
	table("Apart from the admins, these accounts may write there:", "| who | what, or why |", list.Open, func(e guardEntry) []string { return []string{e.Name, e.Reason} })
	table("No policy can protect the following resources. Protect them with RBAC and AppProjects:", "| what | resources | why |", list.RBAC, short)
	fmt.Fprintf(&text, "\nIn every AppProject except the platform's, set:\n\n"+
		"- `clusterResourceWhitelist` without the groups %s; best is an empty list, or `Namespace` alone;\n"+
		"- `destinations` by name, without envladder's namespace, `kube-system` and `*`;\n"+
		"- `namespaceResourceWhitelist` with what the team needs, or `namespaceResourceBlacklist` with every kind of %s.\n\n",
		quoted(clusterGroups(list)), quoted(namespacedGroups))
	return text.String()
}

// namespacedGroups are API groups with kinds that a team must not deploy to its own namespaces
// either: Soaks, Roles and RoleBindings.
var namespacedGroups = []string{"envladder.dev", "rbac.authorization.k8s.io"}

// clusterGroups returns the API groups that only the platform's AppProject may deploy to a
// cluster.
func clusterGroups(list guardList) []string {
	groups := map[string]bool{}
	for _, entry := range slices.Concat(list.Cluster, list.RBAC) {
		for _, rule := range entry.Rules {
			groups[rule.Group] = true
		}
	}
	delete(groups, "") // Namespaces, which teams create
	return slices.Sorted(maps.Keys(groups))
}

// resourcesOf returns the resources of an entry.
func resourcesOf(e guardEntry) string {
	var all []string
	for _, rule := range e.Rules {
		text := quoted(rule.Resources)
		if rule.Group != "" {
			text += " (" + rule.Group + ")"
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}

// quoted returns names as code.
func quoted(names []string) string { return "`" + strings.Join(names, "`, `") + "`" }

// TestExampleProjects checks that only the platform's AppProject in the examples allows
// resources of the list.
func TestExampleProjects(t *testing.T) {
	forbidden := clusterGroups(readGuard(t))
	files, err := filepath.Glob("../../examples/shop/platform/projects/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("finding the examples: %v", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, object := range parse(t, string(data)) {
			var project appProject
			text, err := yaml.Marshal(object.Object)
			if err != nil {
				t.Fatal(err)
			}
			if err := yaml.Unmarshal(text, &project); err != nil {
				t.Fatal(err)
			}
			if object.GetName() != "platform" {
				wantClosed(t, object.GetName(), project, forbidden)
			}
		}
	}
}

// appProject is the part of an AppProject that allows resources.
type appProject struct {
	Spec struct {
		Destinations               []struct{ Name, Namespace string } `json:"destinations"`
		ClusterResourceWhitelist   []groupKind                        `json:"clusterResourceWhitelist"`
		NamespaceResourceWhitelist []groupKind                        `json:"namespaceResourceWhitelist"`
	} `json:"spec"`
}

type groupKind struct{ Group, Kind string }

// wantClosed checks that an AppProject doesn't allow protected resources.
func wantClosed(t *testing.T, name string, project appProject, forbidden []string) {
	t.Helper()
	for _, allowed := range project.Spec.ClusterResourceWhitelist {
		if allowed.Group == "*" || slices.Contains(forbidden, allowed.Group) {
			t.Errorf("AppProject %q allows %v", name, allowed)
		}
	}
	allowed := project.Spec.NamespaceResourceWhitelist
	if len(allowed) == 0 || slices.ContainsFunc(allowed, func(g groupKind) bool { return g.Group == "*" || slices.Contains(namespacedGroups, g.Group) }) {
		t.Errorf("AppProject %q allows %v", name, allowed)
	}
	onlyConfigMaps := slices.Equal(allowed, []groupKind{{"", "ConfigMap"}})
	for _, d := range project.Spec.Destinations {
		if d.Namespace == "*" || d.Namespace == "kube-system" || d.Namespace == "envladder" && !onlyConfigMaps {
			t.Errorf("AppProject %q deploys to %v", name, d)
		}
	}
}

// guardFile lists the objects that a verdict or a soak depends on.
const guardFile = "../../charts/envladder/files/guard.yaml"

// guardList is the content of guardFile.
type guardList struct {
	Cluster   []guardEntry `json:"cluster"`
	Namespace []guardEntry `json:"namespace"`
	Open      []guardEntry `json:"open"`
	RBAC      []guardEntry `json:"rbac"`
}

// guardEntry is an entry of the list.
type guardEntry struct {
	Name    string      `json:"name"`
	Reason  string      `json:"reason"`
	Rules   []guardRule `json:"rules"`
	When    string      `json:"when"`
	Also    string      `json:"also"`
	Writers []string    `json:"writers"`
}

// guardRule names resources of an API group. Without operations it applies to all operations.
type guardRule struct {
	Group      string   `json:"group"`
	Resources  []string `json:"resources"`
	Operations []string `json:"operations"`
}

// readGuard reads guardFile.
func readGuard(t *testing.T) guardList {
	t.Helper()
	data, err := os.ReadFile(guardFile)
	if err != nil {
		t.Fatal(err)
	}
	var list guardList
	if err := yaml.UnmarshalStrict(data, &list); err != nil {
		t.Fatal(err)
	}
	return list
}
