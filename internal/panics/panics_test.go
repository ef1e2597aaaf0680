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
	err := panics.Catch(func() error { panic("out of bounds") })
	var caught *panics.Error
	if !errors.As(err, &caught) || !strings.Contains(err.Error(), "out of bounds") || !strings.Contains(string(caught.Stack), "TestCatch") {
		t.Errorf("a panic became %v", err)
	}
}
