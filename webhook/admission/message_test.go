package admission

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/webhook/webhooktest"
)

func TestMessage(t *testing.T) {
	web := "registry.example.com/shop/web@" + webhooktest.Digest('9')
	for name, test := range map[string]struct {
		images []ImageResult
		want   []string
	}{
		"single reason": {
			[]ImageResult{denied(web, "", gate.Reason{Code: gate.SoakTooShort, Message: "soaked 6h12m of 24h in staging", Remedy: "wait"})},
			[]string{
				"shop/web@sha256:999999999999…: not proven for prod: soaked 6h12m of 24h in staging",
				"- SoakTooShort: soaked 6h12m of 24h in staging (wait)",
				"- judged by Gate shop-prod generation 3 sha256:eeeeeeeeeeee…",
			},
		},
		"several reasons": {
			[]ImageResult{denied(web, "", gate.Reason{Code: gate.NoApproval, Message: "none"}, gate.Reason{Code: gate.NoSoak, Message: "no soak"})},
			[]string{
				"shop/web@sha256:999999999999…: not proven for prod: NoApproval, NoSoak",
				"- NoApproval: none",
				"- NoSoak: no soak",
				"- judged by Gate shop-prod generation 3 sha256:eeeeeeeeeeee…",
			},
		},
		"reason without remedy by evidence comes first": {
			[]ImageResult{denied(web, "", gate.Reason{Code: gate.NoSoak, Message: "no soak"}, gate.Reason{Code: gate.Recalled, Message: "recalled: CVE"})},
			[]string{
				"shop/web@sha256:999999999999…: denied in prod: recalled: CVE (and 1 more)",
				"- NoSoak: no soak",
				"- Recalled: recalled: CVE",
				"- judged by Gate shop-prod generation 3 sha256:eeeeeeeeeeee…",
			},
		},
		"unavailable registry comes first": {
			[]ImageResult{denied(web, "", gate.Reason{Code: gate.NoSignature, Message: "no signature"}, gate.Reason{Code: gate.RegistryUnavailable, Message: "registry.example.com: connection refused"})},
			[]string{
				"shop/web@sha256:999999999999…: denied in prod: registry.example.com: connection refused (and 1 more)",
				"- NoSignature: no signature",
				"- RegistryUnavailable: registry.example.com: connection refused",
				"- judged by Gate shop-prod generation 3 sha256:eeeeeeeeeeee…",
			},
		},
		"image with control characters": {
			[]ImageResult{denied("evil\r\n- Allowed: yes\x1b[31m\u202e", "", gate.Reason{Code: gate.UnknownImage, Message: "not\nlisted\x1b[0m"})},
			[]string{
				"evil - Allowed: yes\ufffd[31m\ufffd: denied in prod: not listed\ufffd[0m",
				"- UnknownImage: not listed\ufffd[0m",
				"- judged by Gate shop-prod generation 3 sha256:eeeeeeeeeeee…",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, strings.Split(message(test.images, prodGates()), "\n")); diff != "" {
				t.Errorf("message (-want +got):\n%s", diff)
			}
		})
	}
}
