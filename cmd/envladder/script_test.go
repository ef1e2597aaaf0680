package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes `envladder` a command of the scripts, which runs this binary.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"envladder": main})
}

// TestScripts runs testdata/script/*.txtar, each a terminal session; a file's name
// begins with its command. $EXAMPLES is the repository's folder examples. `exits N CMD`
// runs a command that must exit with N; `shape FROM TO` writes the fields of a JSON document
// to a file. UPDATE=1 rewrites the files that a script compares with.
// script_registry_test.go and script_git_test.go have more commands.
func TestScripts(t *testing.T) {
	commands := withCommands(registryCommands(), gitCommands())
	commands["exits"] = exits
	commands["shape"] = shape
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       os.Getenv("UPDATE") != "",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds:                commands,
		Setup: func(env *testscript.Env) error {
			examples, err := filepath.Abs("../../examples")
			env.Setenv("EXAMPLES", examples)
			env.Values[scriptRegistry{}] = &scriptRegistry{}
			return err
		},
	})
}

// exits implements `exits N CMD ARG…`: testscript's exec only distinguishes success from
// failure, and the scripts need to distinguish 1 (no) from 2 (failed).
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits N CMD ARG…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("running %s: %v", args[1], err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("%s exited with %d, want %d", args[1], got, want)
	}
}

// shape implements `shape FROM TO`: it writes a line with the path and the type of each field
// of the JSON document FROM to TO. Users' scripts rely on these.
func shape(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 2, "shape FROM TO")
	var document any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &document))
	fields := map[string]bool{}
	collect(fields, "", document)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(strings.Join(slices.Sorted(maps.Keys(fields)), "\n")+"\n"), 0o600))
}

// collect adds the fields below a value.
func collect(fields map[string]bool, path string, value any) {
	switch v := value.(type) {
	case map[string]any:
		for key, inner := range v {
			collect(fields, strings.TrimPrefix(path+"."+key, "."), inner)
		}
	case []any:
		fields[path+"[]"] = true
		for _, inner := range v {
			collect(fields, path+"[]", inner)
		}
	default:
		fields[fmt.Sprintf("%s %T", path, v)] = true
	}
}
