package scenario

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// shell runs commands in one folder with one environment. A person who explores a running demo
// gets the same environment.
type shell struct {
	dir string
	// bin is first in PATH and has the programs under their usual names.
	bin string
	env []string
	say Narrator
	// names are pairs for a strings.Replacer that shows variables instead of their values.
	names []string
}

// newShell returns a shell in a folder.
func newShell(dir string, say Narrator) (*shell, error) {
	bin := filepath.Join(dir, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return nil, fmt.Errorf("creating the folder of programs: %w", err)
	}
	return &shell{dir: dir, bin: bin, say: say, env: []string{
		"PATH=" + bin + string(os.PathListSeparator) + os.Getenv("PATH"),
		"HOME=" + dir,
		"LANG=C.UTF-8",
		// In a git hook, git would otherwise use the hook's repository.
		"GIT_CONFIG_NOSYSTEM=1",
		"GIT_TERMINAL_PROMPT=0",
		"COSIGN_PASSWORD=",
	}}, nil
}

// install makes a program available under its usual name.
func (s *shell) install(name, path string) error {
	if err := os.Symlink(path, filepath.Join(s.bin, name)); err != nil {
		return fmt.Errorf("installing %s: %w", name, err)
	}
	return nil
}

// define sets and shows a variable. Later output shows the variable instead of its value.
func (s *shell) define(name, value string) error {
	s.say.Command("export " + name + "=" + value)
	s.setenv(name, value)
	s.names = append(s.names, value, "$"+name)
	return s.writeEnv()
}

// setenv sets a variable.
func (s *shell) setenv(key, value string) { s.env = append(s.env, key+"="+value) }

// writeEnv writes the environment to a file that people can source.
func (s *shell) writeEnv() error {
	var text strings.Builder
	for _, pair := range s.env {
		key, value, _ := strings.Cut(pair, "=")
		switch key {
		case "HOME", "LANG":
			continue
		case "PATH":
			value = s.bin + ":$PATH"
			fmt.Fprintf(&text, "export PATH=\"%s\"\n", value)
			continue
		}
		fmt.Fprintf(&text, "export %s=%s\n", key, quoted(value))
	}
	if err := os.WriteFile(filepath.Join(s.dir, "env"), []byte(text.String()), 0o600); err != nil {
		return fmt.Errorf("writing the environment: %w", err)
	}
	return nil
}

// A failure is the error of a command that ended with a code other than 0.
type failure struct {
	line   string
	code   int
	output string
}

func (f *failure) Error() string {
	return fmt.Sprintf("running %s: exit code %d: %s", f.line, f.code, strings.TrimSpace(f.output))
}

// run runs a command without showing it and returns its standard output.
func (s *shell) run(ctx context.Context, name string, args ...string) (string, error) {
	out, errOut, err := s.exec(ctx, name, args)
	if f := (*failure)(nil); errors.As(err, &f) {
		f.output = errOut + out
	}
	return out, err
}

// show runs and shows a command and returns its output.
func (s *shell) show(ctx context.Context, name string, args ...string) (string, error) {
	s.say.Command(strings.NewReplacer(s.names...).Replace(line(name, args)))
	out, errOut, err := s.exec(ctx, name, args)
	all := out + errOut
	s.say.Output(all)
	if f := (*failure)(nil); errors.As(err, &f) {
		f.output = all
	}
	return all, err
}

// showFailing shows a command that must fail and returns its output.
func (s *shell) showFailing(ctx context.Context, name string, args ...string) (string, error) {
	out, err := s.show(ctx, name, args...)
	if err == nil {
		return out, fmt.Errorf("%s succeeded, want a failure", line(name, args))
	}
	if f := (*failure)(nil); !errors.As(err, &f) {
		return out, err
	}
	return out, nil
}

// showDiff shows a script of bash that ends with diff, and returns its output. Exit code 1 reports
// that there are differences.
func (s *shell) showDiff(ctx context.Context, script string) (string, error) {
	s.say.Command(script)
	out, errOut, err := s.exec(ctx, "bash", []string{"-c", script})
	s.say.Output(out + errOut)
	if f := (*failure)(nil); errors.As(err, &f) && f.code == 1 {
		err = nil
	}
	return out, err
}

// exec runs a command in the folder and returns its output.
func (s *shell) exec(ctx context.Context, name string, args []string) (stdout, stderr string, err error) {
	path := filepath.Join(s.bin, name)
	if _, err := os.Stat(path); err != nil {
		if path, err = exec.LookPath(name); err != nil {
			return "", "", fmt.Errorf("running %s: %w", name, err)
		}
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir, cmd.Env = s.dir, s.env
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err = cmd.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return out.String(), errOut.String(), &failure{line: line(name, args), code: exit.ExitCode()}
	}
	if err != nil {
		return out.String(), errOut.String(), fmt.Errorf("running %s: %w", line(name, args), err)
	}
	return out.String(), errOut.String(), nil
}

// line returns a command as a person would type it.
func line(name string, args []string) string {
	words := []string{name}
	for _, arg := range args {
		words = append(words, quoted(arg))
	}
	return strings.Join(words, " ")
}

// quoted quotes a word for the shell if necessary.
func quoted(word string) string {
	if word != "" && !strings.ContainsAny(word, " \t\n'\"$&|;<>()*?[]{}\\`#~") {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
