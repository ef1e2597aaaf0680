package cli

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func TestRefuseRepeatedFlags(t *testing.T) {
	for args, want := range map[string]string{
		"-C one":                          "dir one, tags [], slow false\n",
		"-C one --dir two":                "mountain: invalid argument \"two\" for \"-C, --dir\" flag: it is already set to \"one\": set it once\nflags: mountain climb --help\n",
		"-C one -C one":                   "dir one, tags [], slow false\n",
		"--dir= --dir=two":                "mountain: invalid argument \"two\" for \"-C, --dir\" flag: it is already set to \"\": set it once\nflags: mountain climb --help\n",
		"--tag a --tag b":                 "dir ., tags [a b], slow false\n",
		"--slow --slow":                   "dir ., tags [], slow true\n",
		"--slow --slow=false":             "mountain: invalid argument \"false\" for \"--slow\" flag: it is already set to \"true\": set it once\nflags: mountain climb --help\n",
		"--label a=b --label c=d -C here": "dir here, tags [], slow false\n",
		"--log-level debug --log-level x": "mountain: invalid argument \"x\" for \"--log-level\" flag: it is already set to \"debug\": set it once\nflags: mountain climb --help\n",
	} {
		t.Run(args, func(t *testing.T) {
			var dir string
			var tags []string
			var slow bool
			cmd := &cobra.Command{Use: "climb", Args: cobra.NoArgs, Run: func(cmd *cobra.Command, _ []string) {
				fmt.Fprintf(cmd.OutOrStdout(), "dir %s, tags %v, slow %v\n", dir, tags, slow)
			}}
			cmd.Flags().StringVarP(&dir, "dir", "C", ".", "")
			cmd.Flags().StringArrayVar(&tags, "tag", nil, "")
			cmd.Flags().BoolVar(&slow, "slow", false, "")
			cmd.Flags().StringToString("label", nil, "")
			root := &cobra.Command{Use: "mountain"}
			root.PersistentFlags().String("log-level", "info", "")
			root.AddCommand(cmd)
			var out bytes.Buffer
			Run(root, append([]string{"climb"}, strings.Fields(args)...), strings.NewReader(""), &out, &out)
			if out.String() != want {
				t.Errorf("printed %q, want %q", out.String(), want)
			}
		})
	}
}
