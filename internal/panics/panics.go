package panics

import (
	"fmt"
	"runtime/debug"
)

// Error is a panic that was caught: a bug in this program or its libraries.
type Error struct {
	Value any
	// Stack of the goroutine that panicked, for a log.
	Stack []byte
}

func (e *Error) Error() string { return fmt.Sprintf("internal error: %v", e.Value) }

// Catch calls do and returns its error, or an *Error where it panics.
func Catch(do func() error) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = &Error{Value: value, Stack: debug.Stack()}
		}
	}()
	return do()
}

// CatchResult calls do like Catch, and returns its result too. After a panic the result is
// the zero value.
func CatchResult[T any](do func() (T, error)) (T, error) {
	var result T
	err := Catch(func() (err error) {
		result, err = do()
		return err
	})
	return result, err
}
