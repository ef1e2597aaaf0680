package gitrepo

import (
	"context"
	"fmt"
	"maps"
	"strings"
)

// With returns the tree with new content of a file, which keeps its mode. It rejects a path
// through symbolic links: two files of the work tree would change.
func (t *Tree) With(ctx context.Context, file string, data []byte) (*Tree, error) {
	q := t.quarantine
	blob, err := q.gitWith(ctx, string(data), "hash-object", "-w", "--stdin")
	if err != nil {
		return nil, fmt.Errorf("writing %q: %w", file, err)
	}
	root, err := t.replace(ctx, t.root, elements(file), strings.TrimSpace(blob))
	if err != nil {
		return nil, fmt.Errorf("writing %q: %w", file, err)
	}
	return &Tree{quarantine: q, root: root, memory: t.memory}, nil
}

// replace returns a folder in which the file at a path is another blob.
func (t *Tree) replace(ctx context.Context, folder entry, at []string, blob string) (entry, error) {
	entries := map[string]entry{}
	if folder.id != "" {
		known, err := t.folder(folder.id)
		if err != nil {
			return entry{}, err
		}
		entries = maps.Clone(known)
	}
	old := entries[at[0]]
	switch last := len(at) == 1; {
	case old.mode == modeLink:
		return entry{}, fmt.Errorf("%q is a symbolic link: replace it by the file", at[0])
	case old.mode == modeSubmodule:
		return entry{}, fmt.Errorf("%q is a submodule: its files are in another repository", at[0])
	case last && old.mode == modeTree:
		return entry{}, fmt.Errorf("%q is a folder", at[0])
	case !last && old.regular():
		return entry{}, fmt.Errorf("%q is not a folder", at[0])
	case last && old.regular():
		entries[at[0]] = entry{old.mode, blob}
	case last:
		entries[at[0]] = entry{modeFile, blob}
	default:
		inner, err := t.replace(ctx, old, at[1:], blob)
		if err != nil {
			return entry{}, err
		}
		entries[at[0]] = inner
	}
	return t.quarantine.writeTree(ctx, entries)
}

// writeTree writes a tree object; git sorts its entries. In a partial clone, objects of the
// entries may be missing.
func (q *Quarantine) writeTree(ctx context.Context, entries map[string]entry) (entry, error) {
	kinds := map[string]string{modeTree: "tree", modeSubmodule: "commit"}
	var list strings.Builder
	for name, e := range entries {
		kind, ok := kinds[e.mode]
		if !ok {
			kind = "blob"
		}
		fmt.Fprintf(&list, "%s %s %s\t%s\x00", e.mode, kind, e.id, name)
	}
	id, err := q.gitWith(ctx, list.String(), "mktree", "-z", "--missing")
	return entry{modeTree, strings.TrimSpace(id)}, err
}
