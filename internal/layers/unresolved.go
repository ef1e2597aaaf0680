package layers

import (
	yamlv3 "go.yaml.in/yaml/v3"

	"github.com/envladder/envladder/internal/secrets"
	"github.com/envladder/envladder/internal/strictyaml"
)

// CheckUnresolved finds values that would have to be decrypted or replaced before a layer
// can be rendered: encryption by SOPS, placeholders of argocd-vault-plugin, references of
// vals. The plugin has no keys, so they would be rendered as they are written. The error is
// a strictyaml.Problems. Check reports a layer that can't be parsed.
func CheckUnresolved(file string, data []byte) error {
	root, err := strictyaml.ParseMapping(file, data)
	if err != nil {
		return nil //nolint:nilerr // Check reports it
	}
	return unresolved(file, root).Err()
}

func unresolved(file string, root *yamlv3.Node) strictyaml.Problems {
	if key := sopsMetadata(root); key != nil {
		return strictyaml.Problems{strictyaml.ProblemAt(file, key, "sops",
			"the layer is encrypted by SOPS, and the renderer has no keys: %s", insteadOfSecrets)}
	}
	var problems strictyaml.Problems
	strictyaml.Walk(root, func(n *yamlv3.Node, key bool, path func() string) bool {
		if n.Kind != yamlv3.ScalarNode || key {
			return true
		}
		if what, ok := secrets.FindUnresolved(n.Value); ok {
			problems = append(problems, strictyaml.ProblemAt(file, n, path(), unresolvedValue, what, insteadOfSecrets))
		}
		return !problems.Full()
	})
	return problems
}

const unresolvedValue = "has %s, and nothing resolves it: %s"

const insteadOfSecrets = "let a controller create the Secret (External Secrets, Sealed Secrets) and name it here, or set spec.unresolvedSecrets: Literal to render values as they are written"

// sopsMetadata returns the key of the metadata that SOPS appends to a file that it encrypts,
// or nil.
func sopsMetadata(root *yamlv3.Node) *yamlv3.Node {
	key, metadata := child(root, "sops")
	if metadata == nil || metadata.Kind != yamlv3.MappingNode {
		return nil
	}
	for _, field := range []string{"mac", "lastmodified"} {
		if _, value := child(metadata, field); value == nil {
			return nil
		}
	}
	return key
}
