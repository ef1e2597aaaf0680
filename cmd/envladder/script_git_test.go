package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/envladder/envladder/promote/promotetest"
)

// gitCommands returns the commands of scripts for a forge and its repository.
func gitCommands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"forge":  startForge,
		"pulls":  listPulls,
		"drafts": draftPrefix,
		"hook":   writeHook,
		"crlf":   toCRLF,
		"chomp":  chomp,
		"git":    runGit,
		"commit": commitAsAnother,
		"await":  awaitFile,
	}
}

// startForge implements `forge DIR`: it starts a forge with the repository team/gitops, which
// has the files of DIR on branch main, and clones it to the folder clone. It sets $FORGE to the
// URL, $ORIGIN to the repository on disk, and $GITEA_TOKEN to the token.
func startForge(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "forge DIR")
	t := scriptT{ts}
	f := promotetest.StartForge(t)
	files := map[string]string{}
	dir := ts.MkAbs(args[0])
	ts.Check(filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		files[filepath.ToSlash(name)] = ts.ReadFile(path)
		return err
	}))
	bare := filepath.Join(f.Root, "team", "gitops.git")
	promotetest.Bare(t, bare, files)
	promotetest.Git(t, ts.MkAbs("."), "clone", "--quiet", f.URL+"/team/gitops.git", "clone")
	temporary := ts.MkAbs("tmp")
	ts.Check(os.MkdirAll(temporary, 0o750))
	for name, value := range map[string]string{
		"FORGE": f.URL, "ORIGIN": bare, "GITEA_TOKEN": promotetest.Token, "TMPDIR": temporary, "HOME": ts.MkAbs("."),
		"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.DevNull,
		"GIT_AUTHOR_NAME": "Ana", "GIT_AUTHOR_EMAIL": "ana@example.com", "GIT_COMMITTER_NAME": "Ana", "GIT_COMMITTER_EMAIL": "ana@example.com",
	} {
		ts.Setenv(name, value)
	}
	registryOf(ts).forge = f
}

// listPulls implements `pulls FILE`: it writes the titles and texts of all pull requests to a
// file.
func listPulls(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "pulls FILE")
	var text strings.Builder
	for _, p := range registryOf(ts).forge.PullRequests() {
		text.WriteString(p.State + " " + p.Head + " -> " + p.Base + ": " + p.Title + "\n" + p.Body + "\n")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text.String()), 0o600))
}

// draftPrefix implements `drafts PREFIX`: it sets the prefix of a draft's title.
func draftPrefix(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "drafts PREFIX")
	registryOf(ts).forge.DraftPrefix(args[0])
}

// writeHook implements `hook NAME FILE`: it installs a hook in the origin.
func writeHook(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 2, "hook NAME FILE")
	ts.Check(os.WriteFile(filepath.Join(ts.Getenv("ORIGIN"), "hooks", args[0]), []byte(ts.ReadFile(args[1])), 0o700))
}

// toCRLF implements `crlf FILE…`: it converts line endings to those of Windows.
func toCRLF(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) > 0, "crlf FILE…")
	for _, file := range args {
		ts.Check(os.WriteFile(ts.MkAbs(file), []byte(strings.ReplaceAll(ts.ReadFile(file), "\n", "\r\n")), 0o600))
	}
}

// chomp implements `chomp FILE…`: it removes the line ending of the last line.
func chomp(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) > 0, "chomp FILE…")
	for _, file := range args {
		ts.Check(os.WriteFile(ts.MkAbs(file), []byte(strings.TrimRight(ts.ReadFile(file), "\r\n")), 0o600))
	}
}

// runGit implements `git DIR ARG…`: it runs git with an identity, and logs its output.
func runGit(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) > 1, "git DIR ARG…")
	ts.Logf("%s", promotetest.Git(scriptT{ts}, ts.MkAbs(args[0]), args[1:]...))
}

// commitAsAnother implements `commit BRANCH NAME FILE`: another author commits a file to a
// branch.
func commitAsAnother(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 3, "commit BRANCH NAME FILE")
	promotetest.CommitTo(scriptT{ts}, ts.Getenv("ORIGIN"), args[0], "by another", map[string]string{args[1]: ts.ReadFile(args[2])})
}

// awaitFile implements `await FILE`: it waits up to 30 s until the file exists.
func awaitFile(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "await FILE")
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(ts.MkAbs(args[0])); err == nil {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("%s doesn't exist after 30 s", args[0])
		}
	}
}

// withCommands merges maps of commands.
func withCommands(all ...map[string]func(*testscript.TestScript, bool, []string)) map[string]func(*testscript.TestScript, bool, []string) {
	merged := map[string]func(*testscript.TestScript, bool, []string){}
	for _, some := range slices.Backward(all) {
		maps.Copy(merged, some)
	}
	return merged
}
