// Package worker renders charts in processes of its own, since Helm's engine can't be
// stopped. A template that never ends, that uses up memory or that overflows the stack only
// ends one worker, and its request gets an error that names the template.
//
// A Pool is the parent's side, Work the worker's. Both are the same program, so their
// protocol has no versions.
package worker
