package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes `envladder-webhook` a command of the scripts, run from this very binary.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"envladder-webhook": main})
}

// TestScripts runs testdata/script/*.txtar, each a terminal session. What needs an API
// server is tested in package webhook.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", RequireExplicitExec: true})
}
