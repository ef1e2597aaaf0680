// Package programtest finds the programs that tests run next to the code under test: a real API
// server, cosign and helm. `make test` builds them and sets the variables. Without the variables,
// a test is skipped, so that plain `go test ./...` works; with ENVLADDER_SKIP=never, which
// `make test` sets, it fails.
package programtest
