package gitrepo

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
)

// setting is one entry of git's configuration.
type setting struct{ key, value string }

// configuration returns the settings that git uses in the user's clone, from all files. Git
// evaluates conditional includes (includeIf), so settings that depend on the folder of the
// clone (an identity, credentials of a CI checkout) are included.
func (r *Repository) configuration(ctx context.Context) ([]setting, error) {
	out, err := run(ctx, r.Root, "config", "--list", "-z")
	if err != nil {
		return nil, fmt.Errorf("reading the configuration of git: %w", err)
	}
	var all []setting
	for entry := range strings.SplitSeq(strings.TrimSuffix(out, "\x00"), "\x00") {
		key, value, ok := strings.Cut(entry, "\n")
		if !ok {
			value = "true" // a key without "="
		}
		if key != "" && !isLocal(key) {
			all = append(all, setting{key, value})
		}
	}
	return all, nil
}

// localSections and localKeys are settings of a repository's own layout, or of commands that
// are never run here. Includes are already resolved. Configured trailers are for
// `git interpret-trailers`, not for commits.
var (
	localSections = []string{"include", "includeif", "extensions", "branch", "submodule", "alias", "trailer"}
	localKeys     = []string{
		"core.bare", "core.worktree", "core.repositoryformatversion", "core.hookspath", "core.fsmonitor",
		"core.sparsecheckout", "core.sparsecheckoutcone", "core.splitindex", "core.untrackedcache",
	}
)

// isLocal reports whether a setting must not be used in another repository.
func isLocal(key string) bool {
	section, _, _ := strings.Cut(key, ".")
	return slices.Contains(localSections, section) || slices.Contains(localKeys, key)
}

// withSettings returns an environment in which git uses these settings and reads no file of
// the user's: otherwise settings with several values would have each value twice, and a
// forge rejects a request with two Authorization headers.
func withSettings(env []string, settings []setting) []string {
	variables := slices.DeleteFunc(slices.Clone(env), func(variable string) bool {
		return strings.HasPrefix(variable, "GIT_CONFIG")
	})
	variables = append(variables, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL="+os.DevNull, fmt.Sprintf("GIT_CONFIG_COUNT=%d", len(settings)))
	for i, s := range settings {
		variables = append(variables, fmt.Sprintf("GIT_CONFIG_KEY_%d=%s", i, s.key), fmt.Sprintf("GIT_CONFIG_VALUE_%d=%s", i, s.value))
	}
	return variables
}
