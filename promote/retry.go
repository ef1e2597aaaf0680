package promote

import (
	"context"
	"errors"
	"fmt"

	"github.com/envladder/envladder/internal/gitrepo"
)

// errAgain means that another promotion came first.
var errAgain = errors.New("the branch has moved")

// cameFirst reports whether an attempt failed since somebody else's push came first.
func cameFirst(err error) bool { return errors.Is(err, gitrepo.ErrMoved) || errors.Is(err, errAgain) }

// write promotes into one pins file, again from the new tip where another push came first,
// until the time is over: each failed attempt means that another one came through.
func (p *promotion) write(ctx context.Context, s slot) (Result, error) {
	var done Result
	for waiting := newBackoff(); ; {
		result, err := p.attempt(ctx, s, waiting)
		if err == nil || result.done() {
			done = result
		}
		if err == nil || !cameFirst(err) {
			return done, err
		}
		p.base = nil
		if err := waiting.wait(ctx); err != nil {
			return done, fmt.Errorf("promoting to %s: %w", s.name(), err)
		}
	}
}
