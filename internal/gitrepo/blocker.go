package gitrepo

import (
	"context"
	"fmt"
	"strings"
)

// blocker returns a branch of the remote whose name prevents another one, or "": git stores
// branches as paths, so envladder and envladder/shop/dev can't both exist.
func (r *Repository) blocker(ctx context.Context, branch string) (string, error) {
	patterns := []string{"refs/heads/" + branch + "/*"}
	for i, c := range branch {
		if c == '/' {
			patterns = append(patterns, "refs/heads/"+branch[:i])
		}
	}
	out, err := run(ctx, r.Root, append([]string{"ls-remote", "--", r.Remote}, patterns...)...)
	if err != nil {
		return "", fmt.Errorf("listing branches of %q that block %q: %w", r.Remote, branch, err)
	}
	for line := range strings.Lines(out) {
		_, ref, _ := strings.Cut(strings.TrimSpace(line), "\t")
		name, ok := strings.CutPrefix(ref, "refs/heads/")
		if ok && (strings.HasPrefix(branch, name+"/") || strings.HasPrefix(name, branch+"/")) {
			return name, nil
		}
	}
	return "", nil
}

// checkBlocked returns an error with advice if another branch blocks the one whose push was
// rejected.
func (r *Repository) checkBlocked(ctx context.Context, branch string, refused error) error {
	name, _ := r.blocker(ctx, branch) // the rejection is more useful than this error
	if name == "" {
		return nil
	}
	return fmt.Errorf("branch %q of %q blocks the name %q: rename or delete it: %w", name, r.Remote, branch, refused)
}
