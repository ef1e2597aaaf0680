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
	r := c.reader()
	for _, file := range r.files {
		r.node(file.Root)
	}
	if len(r.files)+len(r.others) == 0 || r.broken {
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

// evaluates reports whether any template evaluates something, those of subcharts included.
func (c *Chart) evaluates() bool {
	r := c.reader()
	for _, file := range slices.Concat(r.files, r.others) {
		r.node(file.Root)
	}
	r.include("")
	return r.reads.Evaluates
}

func (c *Chart) reader() *reader {
	r := &reader{reads: Reads{words: map[string]bool{}}, defined: map[string]*syntax.Tree{}, visited: map[string]bool{}}
	r.gather(c.pristine, true)
	return r
}

type reader struct {
	reads Reads
	// files are those of the chart itself, which run with its values; others are those of
	// its dependencies.
	files, others []*syntax.Tree
	// defined are the templates of all charts by their names. They run with the values of
	// the template that includes them.
	defined map[string]*syntax.Tree
	visited map[string]bool
	broken  bool
}

// gather parses the templates of a chart and of its dependencies. own is set for the chart
// whose values are asked for: an application chart's files below it run with their own
// values, and only what they define may be run with others.
func (r *reader) gather(c *helm.Chart, own bool) {
	partial := !own && c.Metadata.Type != "library"
	for _, file := range c.Templates {
		if path.Base(file.Name) != "NOTES.txt" {
			r.parse(c.ChartFullPath()+"/"+file.Name, file, own, partial)
		}
	}
	for _, file := range c.Files {
		if !partial && hasAction(string(file.Data)) {
			addWords(r.reads.words, string(file.Data))
		}
	}
	for _, child := range c.Dependencies() {
		r.gather(child, false)
	}
}

// parse parses one file of templates, with name for the file itself.
func (r *reader) parse(name string, file *helm.File, own, partial bool) {
	tree := syntax.New(name)
	tree.Mode = syntax.SkipFuncCheck
	trees := map[string]*syntax.Tree{}
	if _, err := tree.Parse(string(file.Data), "", "", trees); err != nil {
		r.reads.Unknown, r.broken = true, true // a render says what is wrong
		return
	}
	if !partial {
		addWords(r.reads.words, string(file.Data))
	}
	for defined, t := range trees {
		switch {
		case defined != name:
			r.defined[defined] = t
			addWords(r.reads.words, t.Root.String())
		case own:
			r.files = append(r.files, t)
		default:
			r.others = append(r.others, t)
		}
	}
}

// include reads the template of a name once; an empty name is one that is computed.
func (r *reader) include(name string) {
	if name == "" {
		for name := range r.defined {
			r.include(name)
		}
		return
	}
	if t := r.defined[name]; t != nil && !r.visited[name] {
		r.visited[name] = true
		r.node(t.Root)
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
		r.include(n.Name)
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
		if isCall(command, "include") {
			r.include(nameOf(command))
		}
		for _, argument := range command.Args {
			r.argument(argument)
		}
	}
}

// nameOf returns the name of the template that a command includes, empty where it is
// computed.
func nameOf(include *syntax.CommandNode) string {
	if len(include.Args) < 2 {
		return "" // piped
	}
	name, ok := include.Args[1].(*syntax.StringNode)
	if !ok {
		return ""
	}
	return name.Text
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
