package main

import (
	"os"
	"testing"

	"sigs.k8s.io/yaml"
)

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
