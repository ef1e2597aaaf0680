// Package window adds up how long a digest was healthy. A Window takes one Sample for
// each observation of the digest and accounts for the time between them: as healthy
// time, or as an interruption with its reason.
//
// The package is pure: it has no clock and does no I/O. What healthy means is decided by
// package watch, how a Window is stored by package soakstore.
package window
