package lint

import (
	"errors"
	"io/fs"
	"path"
	"slices"

	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/strictyaml"
)

// The codes of findings that can be accepted. Findings that render and the plugin reject have
// no code: accepting them would change nothing.
const (
	codeSecret           = "SecretMaterial"
	codeRealData         = "RealData"
	codeMayDiffer        = "MayDiffer"
	codeNondeterministic = "Nondeterministic"
	codeUnusedValue      = "UnusedValue"
	codeUnusedImage      = "UnusedImage"
	codeNumberFormat     = "NumberFormat"
)

// acceptDocument is the file of accepted findings.
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

// acceptance has the accepted findings of a ladder.
type acceptance struct {
	dir       string
	entries   []acceptEntry
	positions strictyaml.Positions
	used      []bool
}

// readAcceptance reads the file of accepted findings, if there is one. The error is a
// strictyaml.Problems where the file is invalid.
func readAcceptance(repository fs.FS, dir string) (*acceptance, error) {
	file := path.Join(dir, ladder.AcceptFileName)
	data, err := strictyaml.ReadFile(repository, file)
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
			problems = append(problems, positions.Problem(strictyaml.Index("accept", i)+".code", "is %.60q: no finding that can be accepted has this code%s", e.Code, strictyaml.DidYouMean(e.Code, codes)))
		}
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return &acceptance{dir: dir, entries: document.Accept, positions: positions, used: make([]bool, len(document.Accept))}, nil
}

// apply returns the findings, with the reason of each that is accepted.
func (a *acceptance) apply(findings strictyaml.Problems) strictyaml.Problems {
	out := slices.Clone(findings)
	for n, f := range out {
		for i, e := range a.entries {
			if e.Code == f.Code && path.Join(a.dir, e.File) == f.File && (e.Path == "" || e.Path == f.Path) {
				out[n].Accepted = e.Reason
				a.used[i] = true
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

// hasOpen reports whether a finding isn't accepted.
func hasOpen(findings strictyaml.Problems) bool {
	return slices.ContainsFunc(findings, func(f strictyaml.Problem) bool { return f.Accepted == "" })
}

// withCode returns the findings with a code.
func withCode(code string, findings strictyaml.Problems) strictyaml.Problems {
	out := slices.Clone(findings)
	for i := range out {
		out[i].Code = code
	}
	return out
}
