package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes `envladder-appset` a command of the scripts, run by the test binary.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"envladder-appset": main})
}

// TestScripts runs testdata/script/*.txtar, each a terminal session. Its
// responses are tested in package appset.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", RequireExplicitExec: true})
}
