// Package cli has what envladder's programs share: signals, exit codes, --version and logs.
package cli
