package registry

import (
	"net/http"
	"testing"
)

func TestNextPage(t *testing.T) {
	for name, test := range map[string]struct {
		links []string
		want  string
		bad   bool
	}{
		"none":                       {},
		"quoted":                     {links: []string{`</v2/a/referrers/d?n=2>; rel="next"`}, want: "n=2"},
		"a token":                    {links: []string{`</v2/a?n=2>; rel=next`}, want: "n=2"},
		"in another case":            {links: []string{`<?n=2>;Rel = "NEXT"`}, want: "n=2"},
		"one of several relations":   {links: []string{`<?n=2>; rel="last next"`}, want: "n=2"},
		"the second link":            {links: []string{`<?n=1>; rel=prev; title="a, b; \"c\"", <?n=3>; rel=next`}, want: "n=3"},
		"the second header":          {links: []string{`<?n=1>; rel="prev"`, `<?n=3>; crossorigin; rel="next"`}, want: "n=3"},
		"another page alone":         {links: []string{`<?n=1>; rel=prev`}},
		"a word in another":          {links: []string{`<?n=1>; rel=nextish; title="rel=next"`}},
		"the first relation counts":  {links: []string{`<?n=1>; rel=prev; rel=next`}},
		"without a query":            {links: []string{`</v2/a/page2>; rel=next`}, bad: true},
		"a URL that can't be parsed": {links: []string{`<%zz?n=2>; rel=next`}, bad: true},
		"no target":                  {links: []string{`/v2/a?n=2; rel=next`}, bad: true},
		"a target without end":       {links: []string{`</v2/a?n=2; rel=next`}, bad: true},
		"a quote without end":        {links: []string{`<?n=2>; rel="next`}, bad: true},
		"something between":          {links: []string{`<?n=2> rel=next`}, bad: true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := nextPage(http.Header{"Link": test.links})
			if got != test.want || (err != nil) != test.bad {
				t.Errorf("nextPage = %q, %v; want %q, an error: %v", got, err, test.want, test.bad)
			}
		})
	}
}

func FuzzParseLink(f *testing.F) {
	f.Add(`<?n=1>; rel=prev; title="a, b; \"c\"", <?n=3>; rel=next`)
	f.Add(`<>;;=;"\`)
	f.Fuzz(func(t *testing.T, text string) {
		if _, rest, err := parseLink(text); err == nil && len(rest) >= len(text) {
			t.Errorf("%q leaves %q", text, rest)
		}
	})
}
