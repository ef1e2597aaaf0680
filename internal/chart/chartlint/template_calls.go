package chartlint

import (
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	syntax "text/template/parse"

	helm "helm.sh/helm/v3/pkg/chart"
)

// templateCalls has the calls of a chart's templates by name: of files and of the templates
// that they define.
type templateCalls map[string]*callsOfTemplate

// callsOfTemplate is what one template calls.
type callsOfTemplate struct {
	nondeterministic []Nondeterminism
	includes         []string
}

// parseCalls parses the templates of a chart and of its dependencies.
func parseCalls(c *helm.Chart) templateCalls {
	calls := templateCalls{}
	calls.add(c, c.Name())
	return calls
}

// add parses the templates of c, which is at root. It leaves out a template that can't be
// parsed, since a render reports that.
func (calls templateCalls) add(c *helm.Chart, root string) {
	for _, file := range c.Templates {
		if file == nil {
			continue
		}
		name := path.Join(root, file.Name)
		tree := syntax.New(name)
		tree.Mode = syntax.SkipFuncCheck
		trees := map[string]*syntax.Tree{}
		if _, err := tree.Parse(string(file.Data), "", "", trees); err != nil {
			continue
		}
		for defined, tree := range trees {
			found := &callsOfTemplate{}
			found.walk(tree, tree.Root)
			for i := range found.nondeterministic {
				if c.IsRoot() {
					found.nondeterministic[i].File = file.Name
				}
			}
			calls[defined] = found
		}
	}
	for _, child := range c.Dependencies() {
		calls.add(child, path.Join(root, "charts", child.Name()))
	}
}

// hasAny reports whether a template calls one of the functions; without any given, whether
// it makes any nondeterministic call.
func (calls templateCalls) hasAny(functions ...string) bool {
	return slices.ContainsFunc(slices.Collect(maps.Values(calls)), func(c *callsOfTemplate) bool {
		return slices.ContainsFunc(c.nondeterministic, func(n Nondeterminism) bool {
			return len(functions) == 0 || slices.Contains(functions, n.Function)
		})
	})
}

// reachableFrom returns the nondeterministic calls of a template and of those that it
// includes by name. Where there are none, as when names are computed, it returns the
// template itself.
func (calls templateCalls) reachableFrom(template string) []Nondeterminism {
	seen := map[string]bool{template: true}
	queue := []string{template}
	var found []Nondeterminism
	for len(queue) > 0 {
		next := calls[queue[0]]
		queue = queue[1:]
		if next == nil {
			continue
		}
		found = append(found, next.nondeterministic...)
		for _, included := range next.includes {
			if !seen[included] {
				seen[included] = true
				queue = append(queue, included)
			}
		}
	}
	if len(found) == 0 {
		return []Nondeterminism{{Template: template}}
	}
	return found
}

// walk collects the calls below node.
func (c *callsOfTemplate) walk(tree *syntax.Tree, node syntax.Node) {
	switch node := node.(type) {
	case *syntax.ListNode:
		if node != nil {
			for _, child := range node.Nodes {
				c.walk(tree, child)
			}
		}
	case *syntax.ActionNode:
		c.walk(tree, node.Pipe)
	case *syntax.IfNode:
		c.branch(tree, &node.BranchNode)
	case *syntax.RangeNode:
		c.branch(tree, &node.BranchNode)
	case *syntax.WithNode:
		c.branch(tree, &node.BranchNode)
	case *syntax.TemplateNode:
		c.includes = append(c.includes, node.Name)
		c.walk(tree, node.Pipe)
	case *syntax.PipeNode:
		if node != nil {
			for _, command := range node.Cmds {
				c.command(tree, command)
			}
		}
	case *syntax.ChainNode:
		c.walk(tree, node.Node)
	case *syntax.IdentifierNode:
		c.identifier(tree, node)
	}
}

func (c *callsOfTemplate) branch(tree *syntax.Tree, b *syntax.BranchNode) {
	c.walk(tree, b.Pipe)
	c.walk(tree, b.List)
	c.walk(tree, b.ElseList)
}

func (c *callsOfTemplate) command(tree *syntax.Tree, command *syntax.CommandNode) {
	for i, arg := range command.Args {
		c.walk(tree, arg)
		called, ok := arg.(*syntax.IdentifierNode)
		if ok && called.Ident == "include" && i+1 < len(command.Args) {
			if name, ok := command.Args[i+1].(*syntax.StringNode); ok {
				c.includes = append(c.includes, name.Text)
			}
		}
	}
}

func (c *callsOfTemplate) identifier(tree *syntax.Tree, called *syntax.IdentifierNode) {
	if !slices.Contains(randomFunctions, called.Ident) && !slices.Contains(clockFunctions, called.Ident) {
		return
	}
	position, _ := tree.ErrorContext(called) // template:line:column
	position, column := cutNumber(position)
	template, line := cutNumber(position)
	c.nondeterministic = append(c.nondeterministic, Nondeterminism{
		Template: template,
		Line:     line,
		Column:   column + 1,
		Function: called.Ident,
	})
}

// cutNumber cuts the last number off a position, which the parser always has.
func cutNumber(position string) (string, int) {
	at := strings.LastIndexByte(position, ':')
	number, err := strconv.Atoi(position[at+1:])
	if at < 0 || err != nil {
		return position, 0
	}
	return position[:at], number
}
