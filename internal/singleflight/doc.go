// Package singleflight runs equal work once for all callers that need it at the same time.
//
// It differs from golang.org/x/sync/singleflight in what stops the work. There, the work
// runs with one caller's context or with none: it stops for all when that caller leaves, or
// continues when no caller is left. Here it has a context of its own, which is canceled when
// the last caller leaves, so that abandoned work frees its process and memory. A panic
// becomes the error of all callers.
package singleflight
