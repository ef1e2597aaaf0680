package gitrepo

import (
	"fmt"
	"regexp"
	"strings"
)

// replaceDenied matches the messages of remotes that don't allow to replace the commits of a
// branch: git's receive.denyNonFastForwards, and the branch protection of GitHub, GitLab
// and Gitea.
var replaceDenied = regexp.MustCompile(`(?i)non-fast-forward|force[- ]?push|protected branch`)

// replacementDenied returns an error with advice if the remote rejected a push because it
// replaces commits of the branch, and nil for any other reason. A lost race is not
// such a push: git rejects that itself.
func replacementDenied(branch, seen, out string, rejected error) error {
	if seen == "" || !strings.Contains(out, "[remote rejected]") || !replaceDenied.MatchString(out+rejected.Error()) {
		return nil
	}
	return fmt.Errorf("%w\nthe remote doesn't allow the commits of branch %q to be replaced: allow force pushes to the branches of promotions (envladder/**), or merge or delete the branch first", rejected, branch)
}
