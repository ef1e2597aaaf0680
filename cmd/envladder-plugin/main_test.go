package main

import (
	"os"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes `envladder-plugin` a command of the scripts, which runs this binary.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"envladder-plugin": main})
}

// TestScripts runs testdata/script/*.txtar, each a terminal session. `appears FILE`
// waits until the file exists.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       os.Getenv("UPDATE") != "",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"appears": appears},
	})
}

// appears implements `appears FILE`.
func appears(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: appears FILE")
	}
	for range 1000 {
		if _, err := os.Stat(ts.MkAbs(args[0])); err == nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	ts.Fatalf("%s doesn't exist after 10 s", args[0])
}
