package secrets

import "regexp"

// unresolved has the forms of encrypted secrets and placeholders, which a tool with the keys
// decrypts or replaces. The patterns have no anchors, since a value may be a whole
// configuration file that contains one of them.
var unresolved = []struct {
	what    string
	pattern *regexp.Regexp
}{
	{"a value encrypted by SOPS", regexp.MustCompile(`ENC\[AES256_GCM,data:`)},
	{"a placeholder of argocd-vault-plugin", regexp.MustCompile(`<path:[^<>#\n]+#[^<>\n]+>`)},
	{"a reference of vals", regexp.MustCompile(`\b(?:secret)?ref\+[a-z][a-z0-9]*://`)},
}

// FindUnresolved returns the kind of value in a text that another tool would have to resolve,
// such as "a reference of vals".
func FindUnresolved(text string) (what string, ok bool) {
	for _, form := range unresolved {
		if form.pattern.MatchString(text) {
			return form.what, true
		}
	}
	return "", false
}
