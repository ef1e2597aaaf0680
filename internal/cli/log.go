package cli

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/pflag"
)

// LogFlags are --log-format and --log-level of the servers.
type LogFlags struct {
	format string
	level  string
}

// AddTo registers the flags.
func (f *LogFlags) AddTo(flags *pflag.FlagSet) {
	flags.StringVar(&f.format, "log-format", "text", "`format` of log lines: text or json")
	flags.StringVar(&f.level, "log-level", "info", "least `level` that is logged: debug, info, warn or error")
}

// Logger returns a logger that writes to w in the format and level of the flags.
func (f *LogFlags) Logger(w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.level)); err != nil {
		return nil, fmt.Errorf("--log-level %q: use debug, info, warn or error", f.level)
	}
	options := &slog.HandlerOptions{Level: level}
	switch f.format {
	case "text":
		return slog.New(slog.NewTextHandler(w, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	default:
		return nil, fmt.Errorf("--log-format %q: use text or json", f.format)
	}
}
