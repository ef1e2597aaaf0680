package cli

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func program(run func(*cobra.Command) error) *cobra.Command {
	return &cobra.Command{Use: "climb", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd) }}
}

func TestRun(t *testing.T) {
	for name, test := range map[string]struct {
		args           []string
		run            func(*cobra.Command) error
		code           int
		stdout, stderr string
	}{
		"done": {
			run:  func(cmd *cobra.Command) error { cmd.Println("up"); return nil },
			code: ExitOK, stdout: "up\n",
		},
		"no, which the program has said itself": {
			run:  func(*cobra.Command) error { return fmt.Errorf("judging: %w", ErrNo) },
			code: ExitNo,
		},
		"couldn't": {
			run:  func(*cobra.Command) error { return errors.New("reading layer: gone") },
			code: ExitError, stderr: "climb: reading layer: gone\n",
		},
		"bad usage is an error, not a no": {
			args: []string{"--nonesuch"},
			run:  func(*cobra.Command) error { return nil },
			code: ExitError, stderr: "climb: unknown flag: --nonesuch\nflags: climb --help\n",
		},
		"the version": {
			args: []string{"--version"},
			run:  func(*cobra.Command) error { return errors.New("ran") },
			code: ExitOK, stdout: "climb ",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := Run(program(test.run), test.args, strings.NewReader(""), &stdout, &stderr)
			if code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			if !strings.HasPrefix(stdout.String(), test.stdout) || (test.stdout == "") != (stdout.Len() == 0) {
				t.Errorf("printed %q, want %q", stdout.String(), test.stdout)
			}
			if stderr.String() != test.stderr {
				t.Errorf("said %q, want %q", stderr.String(), test.stderr)
			}
		})
	}
}

func TestUsageErrors(t *testing.T) {
	for args, test := range map[string]struct {
		code int
		want string
	}{
		"carry":               {ExitOK, "Usage:\n  mountain carry\n"},
		"carry rope":          {ExitOK, ""},
		"carry ropes":         {ExitError, "mountain: unknown command \"ropes\" for \"mountain carry\": it has rope, tent\n"},
		"carry tent":          {ExitError, "mountain: accepts 1 arg(s), received 0\nusage: mountain carry tent SIZE [flags]\n"},
		"carry tent --colour": {ExitError, "mountain: unknown flag: --colour\nflags: mountain carry tent --help\n"},
	} {
		t.Run(args, func(t *testing.T) {
			done := func(*cobra.Command, []string) {}
			group := &cobra.Command{Use: "carry"}
			group.AddCommand(
				&cobra.Command{Use: "rope", Args: cobra.NoArgs, Run: done},
				&cobra.Command{Use: "tent SIZE", Args: cobra.ExactArgs(1), Run: done},
			)
			root := &cobra.Command{Use: "mountain"}
			root.AddCommand(group)
			var out bytes.Buffer
			code := Run(root, strings.Fields(args), strings.NewReader(""), &out, &out)
			if code != test.code || !strings.Contains(out.String(), test.want) || (test.want == "") != (out.Len() == 0) {
				t.Errorf("exit code %d and %q, want %d and %q", code, out.String(), test.code, test.want)
			}
		})
	}
}

func TestSIGTERMCancelsContext(t *testing.T) {
	root := program(func(cmd *cobra.Command) error {
		if err := syscall.Kill(syscall.Getpid(), syscall.SIGTERM); err != nil {
			return err
		}
		<-cmd.Context().Done() // the test's own time-out bounds it
		return nil
	})
	if code := Run(root, nil, strings.NewReader(""), &bytes.Buffer{}, &bytes.Buffer{}); code != ExitOK {
		t.Errorf("exit code %d, want %d", code, ExitOK)
	}
}

func TestSignalEndsStuckCommand(t *testing.T) {
	for _, stop := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(stop.String(), func(t *testing.T) {
			stuck := make(chan struct{})
			defer close(stuck)
			verb := program(func(*cobra.Command) error {
				if err := syscall.Kill(syscall.Getpid(), stop); err != nil {
					return err
				}
				<-stuck
				return nil
			})
			SetGrace(verb, 10*time.Millisecond)
			root := &cobra.Command{Use: "mountain"}
			root.AddCommand(verb)
			var stderr bytes.Buffer
			code := Run(root, []string{"climb"}, strings.NewReader(""), &bytes.Buffer{}, &stderr)
			if want := 128 + int(stop); code != want {
				t.Errorf("exit code %d, want %d", code, want)
			}
			if want := fmt.Sprintf("mountain: %v: it didn't end within 10ms, and is abandoned\n", stop); stderr.String() != want {
				t.Errorf("said %q, want %q", stderr.String(), want)
			}
		})
	}
}

func TestGraceOfChosenCommand(t *testing.T) {
	root := &cobra.Command{Use: "mountain"}
	root.PersistentFlags().String("name", "", "")
	server := &cobra.Command{Use: "serve", Run: func(*cobra.Command, []string) {}}
	SetGrace(server, time.Minute)
	root.AddCommand(server, program(nil))
	for args, want := range map[string]time.Duration{
		"serve":          time.Minute,
		"--name x serve": time.Minute,
		"climb":          defaultGrace,
		"":               defaultGrace,
		"fly":            defaultGrace,
	} {
		if got := graceOf(root, strings.Fields(args)); got != want {
			t.Errorf("%q: %v, want %v", args, got, want)
		}
	}
	if got := graceOf(server, []string{"--listen", ":1"}); got != time.Minute {
		t.Errorf("a program of one command: %v", got)
	}
}

func TestLogFlags(t *testing.T) {
	for _, test := range []struct{ args, want, err string }{
		{args: "", want: "level=INFO msg=ready port=1\n"},
		{args: "--log-format=json", want: `"level":"INFO","msg":"ready","port":1}` + "\n"},
		{args: "--log-level=warn", want: ""},
		{args: "--log-level=loud", err: `--log-level "loud": use debug, info, warn or error`},
		{args: "--log-format=xml", err: `--log-format "xml": use text or json`},
	} {
		t.Run(test.args, func(t *testing.T) {
			var f LogFlags
			flags := pflag.NewFlagSet("", pflag.ContinueOnError)
			f.AddTo(flags)
			if err := flags.Parse(strings.Fields(test.args)); err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			log, err := f.Logger(&out)
			if err != nil {
				if err.Error() != test.err {
					t.Errorf("error %q, want %q", err, test.err)
				}
				return
			}
			if test.err != "" {
				t.Fatalf("no error, want %q", test.err)
			}
			log.Info("ready", "port", 1)
			if !strings.HasSuffix(out.String(), test.want) || (test.want == "") != (out.Len() == 0) {
				t.Errorf("logged %q, want %q at its end", out.String(), test.want)
			}
		})
	}
}
