package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes `envladder-observer` a command of the scripts, run by the test binary.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"envladder-observer": main})
}

// TestScripts runs testdata/script/*.txtar, each a terminal session. What needs an API
// server is tested in package observer.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", RequireExplicitExec: true})
}
