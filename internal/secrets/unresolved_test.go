package secrets_test

import (
	"testing"

	"github.com/envladder/envladder/internal/secrets"
)

func TestFindUnresolved(t *testing.T) {
	for text, want := range map[string]string{
		"ENC[AES256_GCM,data:pRgsvA==,iv:1,tag:2,type:str]":             "a value encrypted by SOPS",
		"user: app\npassword: ENC[AES256_GCM,data:pRgsvA==,iv:1]\n":     "a value encrypted by SOPS",
		"<path:kv/data/shop#password>":                                  "a placeholder of argocd-vault-plugin",
		"postgres://app:<path:kv/data/shop#password | base64encode>@db": "a placeholder of argocd-vault-plugin",
		"<path:kv/data/shop#password#3>":                                "a placeholder of argocd-vault-plugin",
		"ref+vault://kv/shop#/password":                                 "a reference of vals",
		"secretref+awssecrets://shop/password":                          "a reference of vals",
		"https://example.com/?ref+x":                                    "",
		"xref+more":                                                     "",
		"<path>":                                                        "",
		"<path:a>":                                                      "",
		"ENC[PKCS7,MIIBeQ]":                                             "",
		"vault:secret/data/shop#PASSWORD":                               "", // resolved in the cluster
		"{{ .Values.password }}":                                        "",
		"":                                                              "",
	} {
		if got, ok := secrets.FindUnresolved(text); got != want || ok != (want != "") {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}
