package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/strictyaml"
)

// The codes of the findings that can be accepted on purpose. What render and the plugin
// reject has no code: accepting it would change nothing.
const (
	codeSecret           = "SecretMaterial"
	codeRealData         = "RealData"
	codeMayDiffer        = "MayDiffer"
	codeNondeterministic = "Nondeterministic"
	codeUnusedValue      = "UnusedValue"
	codeUnusedImage      = "UnusedImage"
	codeNumberFormat     = "NumberFormat"
)

// acceptDocument says which findings are accepted.
type acceptDocument struct {
	Accept []acceptEntry `json:"accept" max:"100" required:"true"`
}

// acceptEntry accepts the findings of a code in a file, or at one path of it.
type acceptEntry struct {
	Code   string `json:"code"           required:"true"`
	File   string `json:"file"           required:"true"`
	Path   string `json:"path,omitempty"`
	Reason string `json:"reason"         required:"true"`
}

// acceptance marks the findings that are accepted.
type acceptance struct {
	dir       string
	entries   []acceptEntry
	positions strictyaml.Positions
	used      []bool
}

// readAcceptance reads the file of accepted findings, if there is one. The error is a
// strictyaml.Problems where the file is wrong.
func readAcceptance(repo *ladder.Repository) (*acceptance, error) {
	file := path.Join(repo.Dir, ladder.AcceptFileName)
	data, err := strictyaml.ReadFile(repo.FS(), file)
	if errors.Is(err, fs.ErrNotExist) {
		return &acceptance{}, nil
	}
	if err != nil {
		return nil, err
	}
	root, err := strictyaml.ParseMapping(file, data)
	if err != nil {
		return nil, err
	}
	var document acceptDocument
	positions, problems := strictyaml.Decode(file, root, &document)
	codes := []string{codeSecret, codeRealData, codeMayDiffer, codeNondeterministic, codeUnusedValue, codeUnusedImage, codeNumberFormat}
	for i, e := range document.Accept {
		if e.Code != "" && !slices.Contains(codes, e.Code) {
			problems = append(problems, positions.Problem(strictyaml.Index("accept", i)+".code", "is %.60q, which no finding that can be accepted has%s", e.Code, strictyaml.DidYouMean(e.Code, codes)))
		}
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return &acceptance{dir: repo.Dir, entries: document.Accept, positions: positions, used: make([]bool, len(document.Accept))}, nil
}

// apply returns findings with the reason of each that is accepted.
func (a *acceptance) apply(findings strictyaml.Problems) strictyaml.Problems {
	out := slices.Clone(findings)
	for n, f := range out {
		for i, e := range a.entries {
			if e.Code == f.Code && path.Join(a.dir, e.File) == f.File && (e.Path == "" || e.Path == f.Path) {
				out[n].Accepted, a.used[i] = e.Reason, true
			}
		}
	}
	return out
}

// unused returns a finding for each entry that accepts nothing.
func (a *acceptance) unused() strictyaml.Problems {
	var problems strictyaml.Problems
	for i, used := range a.used {
		if !used {
			problems = append(problems, a.positions.Problem(strictyaml.Index("accept", i), "accepts nothing: no finding has this code, file and path; remove it"))
		}
	}
	return problems
}

// open reports whether a finding isn't accepted.
func open(findings strictyaml.Problems) bool {
	return slices.ContainsFunc(findings, func(f strictyaml.Problem) bool { return f.Accepted == "" })
}

// coded returns findings with a code.
func coded(code string, findings strictyaml.Problems) strictyaml.Problems {
	out := slices.Clone(findings)
	for i := range out {
		out[i].Code = code
	}
	return out
}

// findingText is a finding with what accepts it, or what would.
func findingText(f strictyaml.Problem) string {
	switch {
	case f.Accepted != "":
		return fmt.Sprintf("%s (%s, accepted: %s)", f, f.Code, f.Accepted)
	case f.Code != "":
		return fmt.Sprintf("%s (%s)", f, f.Code)
	}
	return f.String()
}
