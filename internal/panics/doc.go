// Package panics turns panics into errors. Untrusted input passes through many libraries; a
// panic in a goroutine whose caller can't recover it would end the process, and admission
// with it.
package panics
