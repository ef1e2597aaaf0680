// Package panics makes errors of panics. Foreign bytes pass through many libraries; a
// panic in a goroutine that no caller can catch would end the process, and admission
// with it.
package panics

import (
	"fmt"
	"runtime/debug"
)

// Error is a panic that was caught: a fault of this program or its libraries.
type Error struct {
	Value any
	// Stack of the goroutine that panicked, for a log.
	Stack []byte
}

func (e *Error) Error() string { return fmt.Sprintf("internal error: %v", e.Value) }

// Catch does something whose panic is an *Error.
func Catch(do func() error) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = &Error{Value: value, Stack: debug.Stack()}
		}
	}()
	return do()
}
