package chart

import (
	"maps"
	"path"
	"slices"
	"strings"
	syntax "text/template/parse"
	"unicode"

	helm "helm.sh/helm/v3/pkg/chart"
)

// Reads are the value paths that a chart's templates read.
type Reads struct {
	// Paths that are read, with all that is below them.
	Paths [][]string
	// Unknown: templates do what can't be seen through without running them, such as
	// handing .Values on as a whole, so that any value may be read.
	Unknown bool
	// Evaluates: templates evaluate values (tpl), which may read others too. Where they
	// evaluate anything else, a file or another template's output, all is Unknown.
	Evaluates bool

	// words of the templates, and of files that may be evaluated; nil where there are no
	// templates, or one can't be read.
	words map[string]bool
}

// Has says whether the value at path is read, or may be.
func (r Reads) Has(at []string) bool {
	return r.Unknown || slices.ContainsFunc(r.Paths, func(read []string) bool {
		shared := min(len(read), len(at))
		return slices.Equal(read[:shared], at[:shared])
	})
}

// By says whether the value at a path may be read by the chart's templates when they see
// these values. It is exact where all reads can be seen; else a value counts as not read
// only if nothing has its path's words in it, and then it may still be read as part of
// what is handed on as a whole, or by a name that is computed.
func (r Reads) By(values map[string]any) (read func(path []string) bool, exact bool) {
	switch {
	case r.words == nil:
		return func([]string) bool { return true }, false
	case r.Unknown, r.Evaluates && hasAction(values):
	default:
		return r.Has, true
	}
	words := maps.Clone(r.words)
	addEvaluated(words, values)
	known := Reads{Paths: r.Paths}
	return func(path []string) bool {
		return known.Has(path) || !slices.ContainsFunc(path, func(key string) bool {
			return slices.ContainsFunc(wordsOf(key), func(word string) bool { return !words[word] })
		})
	}, false
}

// addEvaluated adds the words of what tpl may find something to do in.
func addEvaluated(words map[string]bool, v any) {
	switch v := v.(type) {
	case string:
		if hasAction(v) {
			addWords(words, v)
		}
	case map[string]any:
		for _, item := range v {
			addEvaluated(words, item)
		}
	case []any:
		for _, item := range v {
			addEvaluated(words, item)
		}
	}
}

func addWords(words map[string]bool, text string) {
	for _, word := range wordsOf(text) {
		words[word] = true
	}
}

func wordsOf(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) })
}

// Reads looks at the templates without running them. What belongs to subcharts counts as
// read.
func (c *Chart) Reads() Reads {
	r := reader{reads: Reads{words: map[string]bool{}}}
	r.chart(c.pristine)
	if r.templates == 0 || r.broken {
		r.reads.Unknown, r.reads.words = true, nil
	}
	r.reads.Paths = append(r.reads.Paths, []string{"global"}, []string{"tags"})
	for _, child := range c.pristine.Dependencies() {
		for _, name := range namesOf(child, c.pristine) {
			r.reads.Paths = append(r.reads.Paths, []string{name})
		}
	}
	for _, dependency := range c.pristine.Metadata.Dependencies {
		if dependency == nil {
			continue
		}
		for condition := range strings.SplitSeq(dependency.Condition, ",") {
			if condition = strings.TrimSpace(condition); condition != "" {
				r.reads.Paths = append(r.reads.Paths, strings.Split(condition, "."))
			}
		}
	}
	return r.reads
}

type reader struct {
	reads     Reads
	templates int
	broken    bool
}

// chart reads the templates of a chart and, since a library's are run with the values of
// who includes them, of its dependencies.
func (r *reader) chart(c *helm.Chart) {
	for _, file := range c.Templates {
		if path.Base(file.Name) == "NOTES.txt" {
			continue
		}
		r.templates++
		tree := syntax.New(file.Name)
		tree.Mode = syntax.SkipFuncCheck
		trees := map[string]*syntax.Tree{}
		if _, err := tree.Parse(string(file.Data), "", "", trees); err != nil {
			r.reads.Unknown, r.broken = true, true // a render says what is wrong
			return
		}
		addWords(r.reads.words, string(file.Data))
		for _, t := range trees {
			r.node(t.Root)
		}
	}
	for _, file := range c.Files {
		if hasAction(string(file.Data)) {
			addWords(r.reads.words, string(file.Data))
		}
	}
	for _, child := range c.Dependencies() {
		r.chart(child)
	}
}

func (r *reader) node(n syntax.Node) {
	switch n := n.(type) {
	case *syntax.ListNode:
		if n == nil {
			return
		}
		for _, child := range n.Nodes {
			r.node(child)
		}
	case *syntax.ActionNode:
		r.pipe(n.Pipe)
	case *syntax.IfNode:
		r.branch(&n.BranchNode)
	case *syntax.RangeNode:
		r.branch(&n.BranchNode)
	case *syntax.WithNode:
		r.branch(&n.BranchNode)
	case *syntax.TemplateNode:
		r.pipe(n.Pipe)
	}
}

func (r *reader) branch(n *syntax.BranchNode) {
	r.pipe(n.Pipe)
	r.node(n.List)
	r.node(n.ElseList)
}

func (r *reader) pipe(n *syntax.PipeNode) {
	if n == nil {
		return
	}
	for _, command := range n.Cmds {
		if isCall(command, "tpl") {
			r.reads.Evaluates = true
			r.reads.Unknown = r.reads.Unknown || len(command.Args) < 2 || !isValue(command.Args[1])
		}
		for _, argument := range command.Args {
			r.argument(argument)
		}
	}
}

func isCall(command *syntax.CommandNode, functions ...string) bool {
	name, ok := command.Args[0].(*syntax.IdentifierNode)
	return ok && slices.Contains(functions, name.Ident)
}

// isValue says whether n is a value, or several, in other words at most: what is a
// template in it was one in the values.
func isValue(n syntax.Node) bool {
	switch n := n.(type) {
	case *syntax.FieldNode:
		return belowValues(n.Ident)
	case *syntax.VariableNode:
		return belowValues(n.Ident)
	case *syntax.StringNode:
		return !strings.Contains(n.Text, "{")
	case *syntax.PipeNode:
		return len(n.Decl) == 0 && !slices.ContainsFunc(n.Cmds, func(command *syntax.CommandNode) bool {
			arguments := command.Args
			if isCall(command, "default", "toJson", "toString", "toYaml", "trim") {
				arguments = arguments[1:]
			}
			return slices.ContainsFunc(arguments, func(argument syntax.Node) bool { return !isValue(argument) })
		})
	}
	return false
}

func belowValues(names []string) bool {
	i := slices.Index(names, valuesField)
	return 0 <= i && i < len(names)-1
}

func (r *reader) argument(n syntax.Node) {
	switch n := n.(type) {
	case *syntax.FieldNode:
		r.fields(n.Ident)
	case *syntax.VariableNode:
		r.fields(n.Ident)
	case *syntax.ChainNode:
		r.argument(n.Node)
		r.fields(n.Field)
	case *syntax.PipeNode:
		r.pipe(n)
	case *syntax.StringNode:
		// As in get . "Values".
		r.reads.Unknown = r.reads.Unknown || n.Text == valuesField
	}
}

// valuesField is what holds the values wherever templates carry the root along.
const valuesField = "Values"

// fields reads .Values.a.b, $.Values.a.b, $root.Values.a.b, .root.Values.a.b.
func (r *reader) fields(names []string) {
	i := slices.Index(names, valuesField)
	switch {
	case i < 0:
	case i == len(names)-1:
		r.reads.Unknown = true
	default:
		r.reads.Paths = append(r.reads.Paths, names[i+1:])
	}
}
