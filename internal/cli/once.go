package cli

import (
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// onceValue is the value of a flag that accepts one: of several, the last would win, and the
// others would be dropped silently.
type onceValue struct {
	pflag.Value

	given bool
	first string
}

// Set implements pflag.Value.
func (v *onceValue) Set(text string) error {
	if v.given && text != v.first {
		return fmt.Errorf("it is already set to %q: set it once", v.first)
	}
	v.given, v.first = true, text
	return v.Value.Set(text)
}

// refuseRepeatedFlags has cmd and its subcommands reject a second, different value of a flag
// that accepts one.
func refuseRepeatedFlags(cmd *cobra.Command) {
	for _, flags := range []*pflag.FlagSet{cmd.PersistentFlags(), cmd.LocalFlags()} {
		flags.VisitAll(func(f *pflag.Flag) {
			if takesOne(f.Value) {
				f.Value = &onceValue{Value: f.Value}
			}
		})
	}
	for _, child := range cmd.Commands() {
		refuseRepeatedFlags(child)
	}
}

// takesOne reports whether a value replaces the one before it.
func takesOne(value pflag.Value) bool {
	switch value.(type) {
	case *onceValue, pflag.SliceValue:
		return false
	}
	switch value.Type() {
	case "count", "stringToString", "stringToInt", "stringToInt64":
		return false
	default:
		return true
	}
}
