package panics_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/envladder/envladder/internal/panics"
)

func TestCatch(t *testing.T) {
	if err := panics.Catch(func() error { return io.EOF }); !errors.Is(err, io.EOF) {
		t.Errorf("an error became %v", err)
	}
	wantCaught(t, panics.Catch(func() error { panic("out of bounds") }))
}

func TestCatchResult(t *testing.T) {
	if got, err := panics.CatchResult(func() (int, error) { return 7, io.EOF }); got != 7 || !errors.Is(err, io.EOF) {
		t.Errorf("7 and an error became %d and %v", got, err)
	}
	got, err := panics.CatchResult(func() (int, error) { panic("out of bounds") })
	wantCaught(t, err)
	if got != 0 {
		t.Errorf("a panic has the result %d", got)
	}
}

func wantCaught(t *testing.T, err error) {
	t.Helper()
	var caught *panics.Error
	if !errors.As(err, &caught) || !strings.Contains(err.Error(), "out of bounds") || !strings.Contains(string(caught.Stack), t.Name()) {
		t.Errorf("a panic became %v", err)
	}
}
