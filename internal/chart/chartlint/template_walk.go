package chartlint

import (
	"path"
	"slices"
	"strings"
	syntax "text/template/parse"

	helm "helm.sh/helm/v3/pkg/chart"
)

// templateWalk walks through templates and collects the value paths that they reference.
type templateWalk struct {
	refs ValueRefs
	// files are the chart's own templates, which run with its values; others are those of
	// its dependencies.
	files, others []*syntax.Tree
	// defined has the named templates of all charts. They run with the values of the
	// template that includes them.
	defined map[string]*syntax.Tree
	visited map[string]bool
	// broken is set where a template can't be parsed.
	broken bool
}

// newTemplateWalk parses the templates of a chart and of its dependencies.
func newTemplateWalk(c *helm.Chart) *templateWalk {
	w := &templateWalk{
		refs:    ValueRefs{words: map[string]bool{}},
		defined: map[string]*syntax.Tree{},
		visited: map[string]bool{},
	}
	w.gather(c, true)
	return w
}

// gather parses the templates of a chart and of its dependencies. own is set for the chart
// whose values are wanted. The files of an application chart below it run with their own
// values, and only the templates that they define may run with others.
func (w *templateWalk) gather(c *helm.Chart, own bool) {
	partial := !own && c.Metadata.Type != "library"
	for _, file := range c.Templates {
		if path.Base(file.Name) != "NOTES.txt" {
			w.parse(c.ChartFullPath()+"/"+file.Name, file, own, partial)
		}
	}
	for _, file := range c.Files {
		if !partial && hasAction(string(file.Data)) {
			addWords(w.refs.words, string(file.Data))
		}
	}
	for _, child := range c.Dependencies() {
		w.gather(child, false)
	}
}

// parse parses one file of templates; the file's own template is called name.
func (w *templateWalk) parse(name string, file *helm.File, own, partial bool) {
	tree := syntax.New(name)
	tree.Mode = syntax.SkipFuncCheck
	trees := map[string]*syntax.Tree{}
	if _, err := tree.Parse(string(file.Data), "", "", trees); err != nil {
		w.refs.Unknown, w.broken = true, true // a render reports the error
		return
	}
	if !partial {
		addWords(w.refs.words, string(file.Data))
	}
	for defined, t := range trees {
		switch {
		case defined != name:
			w.defined[defined] = t
			addWords(w.refs.words, t.Root.String())
		case own:
			w.files = append(w.files, t)
		default:
			w.others = append(w.others, t)
		}
	}
}

// include walks through the named template, once. An empty name stands for a computed one,
// which may be any.
func (w *templateWalk) include(name string) {
	if name == "" {
		for name := range w.defined {
			w.include(name)
		}
		return
	}
	if t := w.defined[name]; t != nil && !w.visited[name] {
		w.visited[name] = true
		w.node(t.Root)
	}
}

// node walks through the nodes below n.
func (w *templateWalk) node(n syntax.Node) {
	switch n := n.(type) {
	case *syntax.ListNode:
		if n == nil {
			return
		}
		for _, child := range n.Nodes {
			w.node(child)
		}
	case *syntax.ActionNode:
		w.pipe(n.Pipe)
	case *syntax.IfNode:
		w.branch(&n.BranchNode)
	case *syntax.RangeNode:
		w.branch(&n.BranchNode)
	case *syntax.WithNode:
		w.branch(&n.BranchNode)
	case *syntax.TemplateNode:
		w.include(n.Name)
		w.pipe(n.Pipe)
	}
}

func (w *templateWalk) branch(n *syntax.BranchNode) {
	w.pipe(n.Pipe)
	w.node(n.List)
	w.node(n.ElseList)
}

func (w *templateWalk) pipe(n *syntax.PipeNode) {
	if n == nil {
		return
	}
	for _, command := range n.Cmds {
		if isCall(command, "tpl") {
			w.refs.Evaluates = true
			w.refs.Unknown = w.refs.Unknown || len(command.Args) < 2 || !isValue(command.Args[1])
		}
		if isCall(command, "include") {
			w.include(includedName(command))
		}
		for _, argument := range command.Args {
			w.argument(argument)
		}
	}
}

// includedName returns the name of the template that a command includes, empty where it is
// computed.
func includedName(include *syntax.CommandNode) string {
	if len(include.Args) < 2 {
		return "" // piped
	}
	name, ok := include.Args[1].(*syntax.StringNode)
	if !ok {
		return ""
	}
	return name.Text
}

// isCall reports whether a command calls one of the functions.
func isCall(command *syntax.CommandNode, functions ...string) bool {
	name, ok := command.Args[0].(*syntax.IdentifierNode)
	return ok && slices.Contains(functions, name.Ident)
}

// isValue reports whether n is made of values alone, at most converted: a template action
// in it is one that is written in the values.
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

// belowValues reports whether a field is below .Values.
func belowValues(names []string) bool {
	i := slices.Index(names, valuesField)
	return 0 <= i && i < len(names)-1
}

// argument collects the references in a command's argument.
func (w *templateWalk) argument(n syntax.Node) {
	switch n := n.(type) {
	case *syntax.FieldNode:
		w.fields(n.Ident)
	case *syntax.VariableNode:
		w.fields(n.Ident)
	case *syntax.ChainNode:
		w.argument(n.Node)
		w.fields(n.Field)
	case *syntax.PipeNode:
		w.pipe(n)
	case *syntax.StringNode:
		// As in get . "Values".
		w.refs.Unknown = w.refs.Unknown || n.Text == valuesField
	}
}

// valuesField is the field that has the values, wherever templates carry the root along.
const valuesField = "Values"

// fields collects the path of .Values.a.b, $.Values.a.b, $root.Values.a.b or
// .root.Values.a.b.
func (w *templateWalk) fields(names []string) {
	i := slices.Index(names, valuesField)
	switch {
	case i < 0:
	case i == len(names)-1:
		w.refs.Unknown = true
	default:
		w.refs.Paths = append(w.refs.Paths, names[i+1:])
	}
}
