package promote

import (
	"context"
	"errors"
	"fmt"

	"github.com/envladder/envladder/internal/gitrepo"
)

// errBranchMoved is returned where another promotion pushed first.
var errBranchMoved = errors.New("the branch has moved")

// lostRace reports whether an attempt failed because someone else pushed first.
func lostRace(err error) bool {
	return errors.Is(err, gitrepo.ErrMoved) || errors.Is(err, errBranchMoved)
}

// write promotes into one pins file. Where another push came first it tries again from the
// new tip, until ctx ends: each failed attempt means that another push succeeded.
func (p *promotion) write(ctx context.Context, g pinsGroup) (Result, error) {
	var done Result
	for waiting := newBackoff(); ; {
		result, err := p.attempt(ctx, g, waiting)
		if err == nil || result.done() {
			done = result
		}
		if err == nil || !lostRace(err) {
			return done, err
		}
		p.base = nil
		if err := waiting.wait(ctx); err != nil {
			return done, fmt.Errorf("promoting to %s: %w", g.name(), err)
		}
	}
}
