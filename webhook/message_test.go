package webhook

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/verdict"
)

// denied is a finding with these reasons.
func denied(reference string, action v1alpha1.Action, reasons ...gate.Reason) finding {
	return finding{
		reference: reference,
		fields:    []string{"spec.containers[0].image"},
		Outcome: verdict.Outcome{
			Verdict: gate.Verdict{Reasons: reasons, Gate: gate.Ref{Name: "shop-prod", Generation: 3, Digest: "sha256:" + sixtyFour('e')}},
			Action:  action,
		},
	}
}

// exempted is a finding of what an Exception lets by.
func exempted(reference string) finding {
	f := denied(reference, v1alpha1.ActionDeny)
	f.Allowed = true
	f.Exception = &gate.Exempted{
		Name: "leave", Reason: "incident 117", By: []string{"ana", "bo"},
		ExpiresAt: time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC), Missing: []gate.Code{gate.NoSoak, gate.NoSignature},
	}
	return f
}

func prodGuard() []guard {
	g := newGate("shop-prod", "shop")
	g.Generation = 3
	return []guard{{Gate: verdict.Gate{Gate: g, Ref: gate.RefTo(g)}}}
}

func TestMessage(t *testing.T) {
	web := "registry.example.com/shop/web@sha256:" + sixtyFour('9')
	for name, test := range map[string]struct {
		findings []finding
		want     []string
	}{
		"a soak too short": {
			[]finding{denied(web, "", gate.Reason{Code: gate.SoakTooShort, Message: "soaked 6h12m of 24h in staging", Remedy: "wait"})},
			[]string{
				"shop/web@sha256:999999999999…: not proven for prod: soaked 6h12m of 24h in staging",
				"- SoakTooShort: soaked 6h12m of 24h in staging (wait)",
				"- asked Gate shop-prod generation 3 sha256:eeeeeeeeeeee…",
			},
		},
		"several reasons are named by their codes": {
			[]finding{denied(web, "", gate.Reason{Code: gate.NoApproval, Message: "none"}, gate.Reason{Code: gate.NoSoak, Message: "no soak"})},
			[]string{
				"shop/web@sha256:999999999999…: not proven for prod: NoApproval, NoSoak",
				"- NoApproval: none",
				"- NoSoak: no soak",
				"- asked Gate shop-prod generation 3 sha256:eeeeeeeeeeee…",
			},
		},
		"what proof can't mend comes first": {
			[]finding{denied(web, "", gate.Reason{Code: gate.NoSoak, Message: "no soak"}, gate.Reason{Code: gate.Recalled, Message: "recalled: CVE"})},
			[]string{
				"shop/web@sha256:999999999999…: refused in prod: recalled: CVE (and 1 more)",
				"- NoSoak: no soak",
				"- Recalled: recalled: CVE",
				"- asked Gate shop-prod generation 3 sha256:eeeeeeeeeeee…",
			},
		},
		"a registry that is down comes first": {
			[]finding{denied(web, "", gate.Reason{Code: gate.NoSignature, Message: "no signature"}, gate.Reason{Code: gate.RegistryUnavailable, Message: "registry.example.com: connection refused"})},
			[]string{
				"shop/web@sha256:999999999999…: refused in prod: registry.example.com: connection refused (and 1 more)",
				"- NoSignature: no signature",
				"- RegistryUnavailable: registry.example.com: connection refused",
				"- asked Gate shop-prod generation 3 sha256:eeeeeeeeeeee…",
			},
		},
		"an image that fakes lines and colours": {
			[]finding{denied("evil\r\n- Allowed: yes\x1b[31m\u202e", "", gate.Reason{Code: gate.UnknownImage, Message: "not\nlisted\x1b[0m"})},
			[]string{
				"evil  - Allowed: yes\ufffd[31m\ufffd: refused in prod: not listed\ufffd[0m",
				"- UnknownImage: not listed\ufffd[0m",
				"- asked Gate shop-prod generation 3 sha256:eeeeeeeeeeee…",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, strings.Split(message(test.findings, prodGuard()), "\n")); diff != "" {
				t.Errorf("message (-want +got):\n%s", diff)
			}
		})
	}
}

func TestResponseIsBounded(t *testing.T) {
	long := strings.Repeat("ü\x1b", 100_000)
	var findings []finding
	for i := range 500 {
		for _, action := range []v1alpha1.Action{v1alpha1.ActionDeny, v1alpha1.ActionWarn} {
			findings = append(findings, denied(fmt.Sprintf("%d/%s", i, long), action, gate.Reason{Code: gate.NoSoak, Message: long, Remedy: long}))
		}
		let := exempted(fmt.Sprintf("let/%d/%s", i, long))
		let.Exception.Reason, let.Exception.By = long, []string{long}
		findings = append(findings, let)
	}
	response := ruling{findings: findings, gates: prodGuard()}.response()

	texts := append([]string{response.Result.Message}, response.Warnings...)
	if n := len(response.Result.Message); n > maxText+100 || n < maxText/4 {
		t.Errorf("the message has %d bytes", n)
	}
	if !strings.Contains(response.Result.Message, "more lines") {
		t.Error("the message doesn't say that it was cut")
	}
	total := 0
	for _, warning := range response.Warnings {
		total += utf8.RuneCountInString(warning)
		if utf8.RuneCountInString(warning) > 256 {
			t.Errorf("a warning has %d characters", utf8.RuneCountInString(warning))
		}
	}
	if total > 4096 {
		t.Errorf("the warnings have %d characters, above which the API server cuts each", total)
	}
	if n := len(response.Result.Details.Causes); n != maxCauses {
		t.Errorf("there are %d causes, want %d", n, maxCauses)
	}
	for key, value := range response.AuditAnnotations {
		texts = append(texts, value)
		if utf8.RuneCountInString(value) > maxAnnotation {
			t.Errorf("the audit annotation %s has %d characters", key, utf8.RuneCountInString(value))
		}
	}
	for _, text := range texts {
		for _, r := range text {
			if r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) {
				t.Fatalf("%q is in %q", r, text[:min(len(text), 200)])
			}
		}
	}
}

func TestAuditAnnotations(t *testing.T) {
	web := "registry.example.com/shop/web@sha256:" + sixtyFour('9')
	g := prodGuard()
	allowed := denied(web, v1alpha1.ActionDeny)
	allowed.Allowed = true
	gates := "shop-prod/3/" + g[0].Ref.Digest
	reason := gate.Reason{Code: gate.NoSoak, Message: "no soak"}
	for name, test := range map[string]struct {
		ruling ruling
		want   map[string]string
	}{
		"no Gate":   {ruling{note: "no Gate names the namespace"}, map[string]string{"verdict": "Allowed", "note": "no Gate names the namespace"}},
		"unchanged": {ruling{note: "unchanged", gates: g}, map[string]string{"verdict": "Allowed", "note": "unchanged", "gates": gates}},
		"allowed":   {ruling{findings: []finding{allowed}, gates: g}, map[string]string{"verdict": "Allowed", "images": web, "gates": gates}},
		"denied": {
			ruling{findings: []finding{denied(web, v1alpha1.ActionDeny, reason)}, gates: g},
			map[string]string{"verdict": "Denied", "images": web, "gates": gates, "codes": "NoSoak"},
		},
		"warned": {
			ruling{findings: []finding{denied(web, v1alpha1.ActionWarn, reason)}, gates: g},
			map[string]string{"verdict": "Warned", "images": web, "gates": gates, "codes": "NoSoak"},
		},
		"unproven, by an Exception": {
			ruling{findings: []finding{exempted(web)}, gates: g},
			map[string]string{
				"verdict": "Exempted", "images": web, "gates": gates, "missing": "NoSignature NoSoak",
				"exceptions": web + " by Exception leave until 2026-11-26T12:00:00Z, signed by ana, bo: incident 117",
			},
		},
		"one denied beside one by an Exception": {
			ruling{findings: []finding{exempted(web), denied(web, v1alpha1.ActionDeny, reason)}, gates: g},
			map[string]string{
				"verdict": "Denied", "images": web, "gates": gates, "codes": "NoSoak", "missing": "NoSignature NoSoak",
				"exceptions": web + " by Exception leave until 2026-11-26T12:00:00Z, signed by ana, bo: incident 117",
			},
		},
		"an action of a newer version": {
			ruling{findings: []finding{denied(web, "Quarantine", reason)}, gates: g},
			map[string]string{"verdict": "Denied", "images": web, "gates": gates, "codes": "NoSoak"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			response := test.ruling.response()
			if diff := cmp.Diff(test.want, response.AuditAnnotations); diff != "" {
				t.Errorf("audit annotations (-want +got):\n%s", diff)
			}
			if want := test.want["verdict"] != "Denied"; response.Allowed != want {
				t.Errorf("allowed is %t, want %t", response.Allowed, want)
			}
		})
	}
}
