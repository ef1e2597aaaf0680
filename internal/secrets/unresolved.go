package secrets

import "regexp"

// unresolved are the forms of what stands for a secret until a tool that has the keys
// decrypts or replaces it. The patterns need no anchors: a value may be a whole
// configuration file that has one of them.
var unresolved = []struct {
	what    string
	pattern *regexp.Regexp
}{
	{"a value encrypted by SOPS", regexp.MustCompile(`ENC\[AES256_GCM,data:`)},
	{"a placeholder of argocd-vault-plugin", regexp.MustCompile(`<path:[^<>#\n]+#[^<>\n]+>`)},
	{"a reference of vals", regexp.MustCompile(`\b(?:secret)?ref\+[a-z][a-z0-9]*://`)},
}

// FindUnresolved returns what in a text some other tool would have to resolve, such as "a
// reference of vals".
func FindUnresolved(text string) (what string, ok bool) {
	for _, form := range unresolved {
		if form.pattern.MatchString(text) {
			return form.what, true
		}
	}
	return "", false
}
