package chart

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	templates "text/template/parse"
	"time"

	helm "helm.sh/helm/v3/pkg/chart"
)

// Chance is a place in a template that makes two renders of the same input differ.
type Chance struct {
	// Template is its path from the chart's name on, File the path in the chart; File
	// is empty in a dependency.
	Template string
	File     string
	// Line and Column count from 1; 0 where the place isn't known.
	Line   int
	Column int
	// Function that is called there, such as randAlphaNum.
	Function string
}

// chanceful are the functions whose result isn't determined by their arguments.
var chanceful = []string{
	"randAlphaNum", "randAlpha", "randAscii", "randNumeric", "randBytes", "randInt", "shuffle", "uuidv4",
	"genCA", "genCAWithKey", "genSelfSignedCert", "genSelfSignedCertWithKey", "genSignedCert", "genSignedCertWithKey", "genPrivateKey",
	"htpasswd", "bcrypt", "encryptAES",
	// In a map's order, which is another one each time.
	"keys", "values",
}

// clocks are those that follow the time of day.
var clocks = []string{"now", "ago"}

// Chances renders the chart twice by the recipe, and says by which calls the two differ.
// A chart whose templates call no such function, and evaluate no value or file that may
// (tpl), isn't rendered. What changes by the day or the hour isn't seen.
func (c *Chart) Chances(ctx context.Context, r Recipe) ([]Chance, error) {
	calls := callsOf(c.pristine)
	evaluates := c.evaluates() && (hasAction(r.Values) || chartHasAction(c.pristine))
	if !calls.some() && !evaluates {
		return nil, nil
	}
	first, err := c.Manifests(r)
	if err != nil {
		return nil, err
	}
	if evaluates || calls.someOf(clocks) {
		select {
		case <-time.After(1100 * time.Millisecond): // the next second of a clock
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	second, err := c.Manifests(r)
	if err != nil {
		return nil, err
	}
	var chances []Chance
	for _, template := range differing(first, second) {
		chances = append(chances, calls.reachedFrom(template)...)
	}
	slices.SortFunc(chances, func(a, b Chance) int {
		return cmp.Or(cmp.Compare(a.Template, b.Template), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Function, b.Function))
	})
	return slices.Compact(chances), nil
}

// hasAction says whether there is a text in v that tpl may find something to do in.
func hasAction(v any) bool {
	switch v := v.(type) {
	case string:
		return strings.Contains(v, "{{")
	case map[string]any:
		return slices.ContainsFunc(slices.Collect(maps.Values(v)), hasAction)
	case []any:
		return slices.ContainsFunc(v, hasAction)
	}
	return false
}

// chartHasAction is hasAction of a chart's own values and files, and of its dependencies'.
func chartHasAction(c *helm.Chart) bool {
	return hasAction(c.Values) ||
		slices.ContainsFunc(c.Files, func(f *helm.File) bool { return f != nil && bytes.Contains(f.Data, []byte("{{")) }) ||
		slices.ContainsFunc(c.Dependencies(), chartHasAction)
}

// differing are the templates whose manifests differ.
func differing(first, second Manifests) []string {
	texts := func(ms Manifests) map[string]string {
		by := map[string]string{}
		for _, m := range ms {
			by[m.Source] += m.String()
		}
		return by
	}
	a, b := texts(first), texts(second)
	maps.DeleteFunc(a, func(template, text string) bool { return b[template] == text })
	return slices.Sorted(maps.Keys(a))
}

// calls are the chart's templates, files and definitions alike, by name.
type calls map[string]*calling

// calling is what one template calls.
type calling struct {
	chances  []Chance
	includes []string
}

func callsOf(c *helm.Chart) calls {
	all := calls{}
	all.add(c, c.Name())
	return all
}

// add parses the templates of c, which is at root. One that can't be parsed is left
// out: the engine will say so.
func (all calls) add(c *helm.Chart, root string) {
	for _, file := range c.Templates {
		if file == nil {
			continue
		}
		name := path.Join(root, file.Name)
		tree := templates.New(name)
		tree.Mode = templates.SkipFuncCheck
		trees := map[string]*templates.Tree{}
		if _, err := tree.Parse(string(file.Data), "", "", trees); err != nil {
			continue
		}
		for defined, tree := range trees {
			found := &calling{}
			found.walk(tree, tree.Root)
			for i := range found.chances {
				if c.IsRoot() {
					found.chances[i].File = file.Name
				}
			}
			all[defined] = found
		}
	}
	for _, child := range c.Dependencies() {
		all.add(child, path.Join(root, "charts", child.Name()))
	}
}

func (all calls) some() bool {
	return slices.ContainsFunc(slices.Collect(maps.Values(all)), func(c *calling) bool { return len(c.chances) > 0 })
}

func (all calls) someOf(functions []string) bool {
	return slices.ContainsFunc(slices.Collect(maps.Values(all)), func(c *calling) bool {
		return slices.ContainsFunc(c.chances, func(chance Chance) bool { return slices.Contains(functions, chance.Function) })
	})
}

// reachedFrom are the chances of a template and of those that it includes by name; the
// template itself where there are none, as when it computes the names.
func (all calls) reachedFrom(template string) []Chance {
	seen := map[string]bool{template: true}
	queue := []string{template}
	var chances []Chance
	for len(queue) > 0 {
		found := all[queue[0]]
		queue = queue[1:]
		if found == nil {
			continue
		}
		chances = append(chances, found.chances...)
		for _, next := range found.includes {
			if !seen[next] {
				seen[next] = true
				queue = append(queue, next)
			}
		}
	}
	if len(chances) == 0 {
		return []Chance{{Template: template}}
	}
	return chances
}

// walk gathers what is below node.
func (c *calling) walk(tree *templates.Tree, node templates.Node) {
	switch node := node.(type) {
	case *templates.ListNode:
		if node != nil {
			for _, child := range node.Nodes {
				c.walk(tree, child)
			}
		}
	case *templates.ActionNode:
		c.walk(tree, node.Pipe)
	case *templates.IfNode:
		c.branch(tree, &node.BranchNode)
	case *templates.RangeNode:
		c.branch(tree, &node.BranchNode)
	case *templates.WithNode:
		c.branch(tree, &node.BranchNode)
	case *templates.TemplateNode:
		c.includes = append(c.includes, node.Name)
		c.walk(tree, node.Pipe)
	case *templates.PipeNode:
		if node != nil {
			for _, command := range node.Cmds {
				c.command(tree, command)
			}
		}
	case *templates.ChainNode:
		c.walk(tree, node.Node)
	case *templates.IdentifierNode:
		c.identifier(tree, node)
	}
}

func (c *calling) branch(tree *templates.Tree, b *templates.BranchNode) {
	c.walk(tree, b.Pipe)
	c.walk(tree, b.List)
	c.walk(tree, b.ElseList)
}

func (c *calling) command(tree *templates.Tree, command *templates.CommandNode) {
	for i, arg := range command.Args {
		c.walk(tree, arg)
		called, ok := arg.(*templates.IdentifierNode)
		if ok && called.Ident == "include" && i+1 < len(command.Args) {
			if name, ok := command.Args[i+1].(*templates.StringNode); ok {
				c.includes = append(c.includes, name.Text)
			}
		}
	}
}

func (c *calling) identifier(tree *templates.Tree, called *templates.IdentifierNode) {
	if !slices.Contains(chanceful, called.Ident) && !slices.Contains(clocks, called.Ident) {
		return
	}
	location, _ := tree.ErrorContext(called) // template:line:column
	location, bytes := cutNumber(location)
	template, line := cutNumber(location)
	c.chances = append(c.chances, Chance{Template: template, Line: line, Column: bytes + 1, Function: called.Ident})
}

// cutNumber cuts the last number off a place, which the parser always gives.
func cutNumber(place string) (string, int) {
	at := strings.LastIndexByte(place, ':')
	number, err := strconv.Atoi(place[at+1:])
	if at < 0 || err != nil {
		return place, 0
	}
	return place[:at], number
}

func (c Chance) String() string {
	if c.Function == "" {
		return fmt.Sprintf("template %q renders to something else each time", c.Template)
	}
	return fmt.Sprintf("template %q calls %s in line %d, which gives something else each time", c.Template, c.Function, c.Line)
}
