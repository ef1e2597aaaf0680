package gitrepo

import (
	"errors"
	"strings"
	"testing"
)

func TestBranchBlocksName(t *testing.T) {
	for _, blocker := range []string{"envladder", "envladder/shop", "envladder/shop/dev/old"} {
		t.Run(blocker, func(t *testing.T) {
			r, bare := world(t)
			pushFile(t, bare, blocker, "theirs", "1")
			pushFile(t, bare, "x/envladder", "another", "1") // ls-remote matches ends of names
			q := quarantine(t, r)
			base := newest(t, q)
			commit := change(t, q, base, "shop/pins/dev.yaml", "images: {}\n")
			err := q.Push(t.Context(), "envladder/shop/dev", "", commit)
			if err == nil || errors.Is(err, ErrMoved) || !strings.Contains(err.Error(), `branch "`+blocker+`" of "origin" blocks the name "envladder/shop/dev": rename or delete it`) {
				t.Errorf("error %v", err)
			}
			if err := q.Push(t.Context(), "envladder-shop-dev", "", commit); err != nil {
				t.Errorf("another name: %v", err)
			}
		})
	}
}
