package evidence

import (
	"errors"
	"fmt"

	"github.com/envladder/envladder/internal/registry"
)

// BoundError is returned for evidence that wasn't read because it exceeds a limit. It is a
// registry.ErrTooLarge.
type BoundError struct{ what string }

func (e *BoundError) Error() string { return e.what }

// Is makes errors.Is match registry.ErrTooLarge.
func (e *BoundError) Is(target error) bool { return target == registry.ErrTooLarge }

func boundf(format string, arguments ...any) error {
	return &BoundError{fmt.Sprintf(format, arguments...)}
}

func isBound(err error) bool { return errors.Is(err, registry.ErrTooLarge) }

// bytesOf returns a size in a readable unit.
func bytesOf(n int64) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprintf("%.3g MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.3g KiB", float64(n)/(1<<10))
	default:
		return fmt.Sprintf("%d bytes", n)
	}
}

// NothingReadError is returned for a fetch that failed completely: it isn't known whether
// evidence exists.
type NothingReadError struct{ Err error }

func (e *NothingReadError) Error() string { return e.Err.Error() }

func (e *NothingReadError) Unwrap() error { return e.Err }
