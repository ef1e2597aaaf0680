package layers_test

import (
	"testing"

	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/layers"
)

func TestUnresolvedSecrets(t *testing.T) {
	const instead = "let a controller create the Secret (External Secrets, Sealed Secrets) and name it here, or set spec.unresolvedSecrets: Literal to render values as they are written"
	const sops = "sops: {mac: 'ENC[AES256_GCM,data:a,iv:b]', lastmodified: '2026-01-01T00:00:00Z'}\n"
	for name, test := range map[string]struct {
		contents  []string
		overrides []ladder.Override
		want      string
	}{
		"an encrypted layer is one finding": {
			contents: []string{"a: 1\n", "p: ENC[AES256_GCM,data:a,iv:b]\n" + sops},
			want:     "b.yaml:2:1: sops: the layer is encrypted by SOPS, and the renderer has no keys: " + instead,
		},
		"an encrypted value without its metadata": {
			contents: []string{"db:\n  p: ENC[AES256_GCM,data:a,iv:b]\n"},
			want:     "a.yaml:2:6: db.p: has a value encrypted by SOPS, and nothing resolves it: " + instead,
		},
		"placeholders in lists and in text": {
			contents: []string{"l: [x, 'postgres://<path:kv/shop#user>@db']\nt: |\n  password=ref+vault://kv/shop#/p\n"},
			want: "a.yaml:1:8: l[1]: has a placeholder of argocd-vault-plugin, and nothing resolves it: " + instead + "\n" +
				"a.yaml:2:4: t: has a reference of vals, and nothing resolves it: " + instead,
		},
		"a parameter": {
			contents:  []string{"a: 1\n"},
			overrides: []ladder.Override{{Path: []string{"p"}, Value: "ref+vault://kv/shop#/p"}},
			want:      "the Application's parameter values: p: has a reference of vals, and nothing resolves it: " + instead,
		},
		"a key sops of the chart's own": {contents: []string{"sops: {enabled: true, mac: x}\n"}},
		"what the cluster resolves":     {contents: []string{"p: vault:secret/data/shop#P\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			repo, resolved := resolvedOf(test.contents...)
			resolved.Overrides = test.overrides
			_, err := layers.Merge(t.Context(), repo, resolved)
			wantProblems(t, test.want, err)
			resolved.LiteralSecrets = true
			if _, err := layers.Merge(t.Context(), repo, resolved); err != nil {
				t.Errorf("meant literally: %v", err)
			}
		})
	}
}
