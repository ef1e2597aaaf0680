package bed

import (
	"context"
	"fmt"
	"os"

	"github.com/envladder/envladder/test/programs"
)

// build builds every program that the parts need, so that no start waits for a compiler.
func (b *Bed) build(ctx context.Context, parts Parts) error {
	needed, err := parts.Needed()
	if err != nil {
		return err
	}
	if len(needed) == 0 {
		return nil
	}
	_, err = b.queue.Wait(ctx, needed...)
	return err
}

// Needed returns the programs that the parts need, in build order.
func (p Parts) Needed() ([]string, error) {
	need := map[string]bool{}
	for _, c := range p.Clusters {
		for _, name := range c.programs() {
			need[name] = true
		}
	}
	for _, r := range p.Registries {
		need[r.program()] = true
	}
	for _, name := range p.Programs {
		need[name] = true
	}
	if p.Gitea {
		need["gitea"] = true
	}
	switch p.ArgoCD {
	case "":
	case "v2", "v3":
		need["argocd-"+p.ArgoCD], need["helm"] = true, true
	default:
		return nil, fmt.Errorf("starting Argo CD: unknown version %q: use v3 or v2", p.ArgoCD)
	}
	var names []string
	for _, name := range programs.Names() {
		if need[name] {
			names = append(names, name)
		}
	}
	return names, nil
}

// Program returns the path of a program in the table of package programs, such as cosign,
// crane, helm or kubectl. It builds the program if it is missing.
func (b *Bed) Program(ctx context.Context, name string) (string, error) {
	return b.queue.Path(ctx, name)
}

// link adds a program to the PATH of the bed's processes.
func (b *Bed) link(ctx context.Context, program, as string) error {
	path, err := b.Program(ctx, program)
	if err != nil {
		return err
	}
	if err := os.Symlink(path, b.path("bin", as)); err != nil && !os.IsExist(err) {
		return fmt.Errorf("linking %s: %w", program, err)
	}
	return nil
}
