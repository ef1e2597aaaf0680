package registry

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	hex64  = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
	digest = "sha256:" + hex64
)

func TestParseReferenceNormalizes(t *testing.T) {
	for in, want := range map[string]Reference{
		"nginx":                             {Repository: "docker.io/library/nginx"},
		"nginx:1.27":                        {Repository: "docker.io/library/nginx", Tag: "1.27"},
		"docker.io/nginx:1.27":              {Repository: "docker.io/library/nginx", Tag: "1.27"},
		"index.docker.io/library/nginx":     {Repository: "docker.io/library/nginx"},
		"docker.io/istio/proxyv2:1.24":      {Repository: "docker.io/istio/proxyv2", Tag: "1.24"},
		"shop/web@" + digest:                {Repository: "docker.io/shop/web", Digest: digest},
		"r.example.com/a/b:t@" + digest:     {Repository: "r.example.com/a/b", Tag: "t", Digest: digest},
		"r.example.com:5000/a/b":            {Repository: "r.example.com:5000/a/b"},
		"r.example.com:5000/a/b:t":          {Repository: "r.example.com:5000/a/b", Tag: "t"},
		"localhost/web@" + digest:           {Repository: "localhost/web", Digest: digest},
		"127.0.0.1:5000/web@" + digest:      {Repository: "127.0.0.1:5000/web", Digest: digest},
		"[::1]:5000/web@" + digest:          {Repository: "[::1]:5000/web", Digest: digest},
		"r.example.com/web:" + hex64:        {Repository: "r.example.com/web", Tag: hex64},
		"r.example.com/web/sha256-" + hex64: {Repository: "r.example.com/web/sha256-" + hex64},
	} {
		got, err := ParseReference(in)
		if err != nil {
			t.Errorf("ParseReference(%q): %v", in, err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("ParseReference(%q) (-want +got):\n%s", in, diff)
		}
		again, err := ParseReference(got.String())
		if err != nil || again != got {
			t.Errorf("%q became %q, which reads as %+v, %v", in, got, again, err)
		}
	}
}

func TestParseReferenceRejects(t *testing.T) {
	for _, in := range []string{
		"",
		"@" + digest,
		":tag",
		"r.example.com/web@",
		"r.example.com/web:",
		"r.example.com/web@sha256:" + strings.ToUpper(hex64),
		"r.example.com/web@SHA256:" + hex64,
		"r.example.com/web@sha256:" + hex64[:63],
		"r.example.com/web@sha256:" + hex64 + "0",
		"r.example.com/web@sha512:" + hex64 + hex64,
		"r.example.com/web@sha256-" + hex64,
		"r.example.com/web@" + digest + "@" + digest,
		"r.example.com/web@" + digest + "\n",
		" r.example.com/web@" + digest,
		"r.example.com/Web@" + digest,
		"r.example.com//web@" + digest,
		"r.example.com/../web@" + digest,
		"r.example.com/./web@" + digest,
		"r.example.com/web/@" + digest,
		"r.example.com/web b@" + digest,
		"r.example.com/a%2fb@" + digest,
		"https://r.example.com/web@" + digest,
		"user:password@r.example.com/web@" + digest,
		"r.example.com/web:t:t@" + digest,
		"r.example.com/*@" + digest,
		"r.example.com/ä@" + digest,
		"r.example.com/a\x00b@" + digest,
		"r.example.com/" + strings.Repeat("a", 1000) + "@" + digest,
	} {
		if got, err := ParseReference(in); err == nil {
			t.Errorf("ParseReference(%q) = %+v, want an error", in, got)
		}
	}
}

func FuzzParseReference(f *testing.F) {
	for _, seed := range []string{"nginx", "r.example.com:5000/a/b:t@" + digest, "[::1]:5000/web", "a@b@c", "x/../y"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got, err := ParseReference(in)
		if err != nil {
			return
		}
		again, err := ParseReference(got.String())
		if err != nil || again != got {
			t.Errorf("%q became %q, which reads as %+v, %v", in, got, again, err)
		}
	})
}
