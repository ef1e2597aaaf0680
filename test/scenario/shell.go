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

// shell runs commands in one folder with one environment, the same that a person
// gets who looks at a demo that was kept running.
type shell struct {
	dir string
	// bin is first in PATH and has the programs under their plain names.
	bin string
	env []string
	say Narrator
	// names shorten what is shown: values by the variable that holds them.
	names []string
}

func newShell(dir string, say Narrator) (*shell, error) {
	bin := filepath.Join(dir, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return nil, fmt.Errorf("making the folder of programs: %w", err)
	}
	return &shell{dir: dir, bin: bin, say: say, env: []string{
		"PATH=" + bin + string(os.PathListSeparator) + os.Getenv("PATH"),
		"HOME=" + dir,
		"LANG=C.UTF-8",
		// Where a test runs inside a git hook, git would use that repository.
		"GIT_CONFIG_NOSYSTEM=1",
		"GIT_TERMINAL_PROMPT=0",
		"COSIGN_PASSWORD=",
	}}, nil
}

// install makes a program available under a plain name.
func (s *shell) install(name, path string) error {
	if err := os.Symlink(path, filepath.Join(s.bin, name)); err != nil {
		return fmt.Errorf("installing %s: %w", name, err)
	}
	return nil
}

// define sets a variable in front of the audience, and shows it by its name from here
// on.
func (s *shell) define(name, value string) error {
	s.say.Command("export " + name + "=" + value)
	s.setenv(name, value)
	s.names = append(s.names, value, "$"+name)
	return s.writeEnv()
}

func (s *shell) setenv(key, value string) { s.env = append(s.env, key+"="+value) }

// writeEnv writes the environment for people, to be sourced.
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

// A failure is a command that ended with a code other than 0.
type failure struct {
	line   string
	code   int
	output string
}

func (f *failure) Error() string {
	return fmt.Sprintf("running %s: exit code %d: %s", f.line, f.code, strings.TrimSpace(f.output))
}

// run runs a command silently and returns its standard output.
func (s *shell) run(ctx context.Context, name string, args ...string) (string, error) {
	out, errOut, err := s.exec(ctx, name, args)
	if f := (*failure)(nil); errors.As(err, &f) {
		f.output = errOut + out
	}
	return out, err
}

// show runs a command in front of the audience and returns all that it printed.
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

// refuse shows a command that must fail, and returns what it printed.
func (s *shell) refuse(ctx context.Context, name string, args ...string) (string, error) {
	out, err := s.show(ctx, name, args...)
	if err == nil {
		return out, fmt.Errorf("%s succeeded, and should have been refused", line(name, args))
	}
	if f := (*failure)(nil); !errors.As(err, &f) {
		return out, err
	}
	return out, nil
}

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

// line is a command as a person would type it.
func line(name string, args []string) string {
	words := []string{name}
	for _, arg := range args {
		words = append(words, quoted(arg))
	}
	return strings.Join(words, " ")
}

// quoted quotes a word for the shell, where it has to be.
func quoted(word string) string {
	if word != "" && !strings.ContainsAny(word, " \t\n'\"$&|;<>()*?[]{}\\`#~") {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
