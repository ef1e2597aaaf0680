package layers

import (
	yamlv3 "go.yaml.in/yaml/v3"

	"github.com/envladder/envladder/internal/secrets"
	"github.com/envladder/envladder/internal/strictyaml"
)

// CheckSecrets finds secret material in a layer, which anyone who can read the repository
// would have. The error is a strictyaml.Problems that doesn't quote the material. It
// ignores a layer that can't be parsed, since that can't be rendered either.
func CheckSecrets(file string, data []byte) error {
	root, err := strictyaml.ParseMapping(file, data)
	if err != nil {
		return nil //nolint:nilerr // Check reports it
	}
	var problems strictyaml.Problems
	strictyaml.Walk(root, func(n *yamlv3.Node, _ bool, path func() string) bool {
		if n.Kind != yamlv3.ScalarNode {
			return true
		}
		if what, ok := secrets.Find(n.Value); ok {
			at := path()
			if _, shown := secrets.Find(at); shown {
				at, what = "", what+" for a key"
			}
			problems = append(problems, strictyaml.ProblemAt(file, n, at, "has %s: store it in a secret store, name it here, and revoke this one, since it stays in Git's history", what))
		}
		return !problems.Full()
	})
	return problems.Err()
}
