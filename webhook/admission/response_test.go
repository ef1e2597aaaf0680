package admission

import (
	"fmt"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/webhook/webhooktest"
)

func TestResponseBounds(t *testing.T) {
	long := strings.Repeat("ü\x1b", 100_000)
	var images []ImageResult
	for i := range 500 {
		for _, action := range []v1alpha1.Action{v1alpha1.ActionDeny, v1alpha1.ActionWarn} {
			images = append(images, denied(fmt.Sprintf("%d/%s", i, long), action, gate.Reason{Code: gate.NoSoak, Message: long, Remedy: long}))
		}
		exempt := exempted(fmt.Sprintf("exempt/%d/%s", i, long))
		exempt.Exception.Reason, exempt.Exception.By = long, []string{long}
		images = append(images, exempt)
	}
	response := Result{Images: images, Gates: prodGates()}.response()

	texts := append([]string{response.Result.Message}, response.Warnings...)
	if n := len(response.Result.Message); n > maxMessage+100 || n < maxMessage/4 {
		t.Errorf("the message has %d bytes", n)
	}
	if !strings.Contains(response.Result.Message, "more lines") {
		t.Error("the message doesn't report that lines are missing")
	}
	total := 0
	for _, warning := range response.Warnings {
		total += utf8.RuneCountInString(warning)
		if utf8.RuneCountInString(warning) > 256 {
			t.Errorf("a warning has %d characters", utf8.RuneCountInString(warning))
		}
	}
	if total > 4096 {
		t.Errorf("the warnings have %d characters, above which the API server shortens each", total)
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
	web := "registry.example.com/shop/web@" + webhooktest.Digest('9')
	g := prodGates()
	allowed := denied(web, v1alpha1.ActionDeny)
	allowed.Allowed = true
	gates := "shop-prod/3/" + g[0].Ref.Digest
	reason := gate.Reason{Code: gate.NoSoak, Message: "no soak"}
	for name, test := range map[string]struct {
		result Result
		want   map[string]string
	}{
		"no Gate":   {Result{Note: "no Gate names the namespace"}, map[string]string{"verdict": "Allowed", "note": "no Gate names the namespace"}},
		"unchanged": {Result{Note: "unchanged", Gates: g}, map[string]string{"verdict": "Allowed", "note": "unchanged", "gates": gates}},
		"allowed":   {Result{Images: []ImageResult{allowed}, Gates: g}, map[string]string{"verdict": "Allowed", "images": web, "gates": gates}},
		"denied": {
			Result{Images: []ImageResult{denied(web, v1alpha1.ActionDeny, reason)}, Gates: g},
			map[string]string{"verdict": "Denied", "images": web, "gates": gates, "codes": "NoSoak"},
		},
		"warned": {
			Result{Images: []ImageResult{denied(web, v1alpha1.ActionWarn, reason)}, Gates: g},
			map[string]string{"verdict": "Warned", "images": web, "gates": gates, "codes": "NoSoak"},
		},
		"exempted": {
			Result{Images: []ImageResult{exempted(web)}, Gates: g},
			map[string]string{
				"verdict": "Exempted", "images": web, "gates": gates, "missing": "NoSignature NoSoak",
				"exceptions": web + " by Exception exception until 2026-11-26T12:00:00Z, signed by ana, bo: incident 117",
			},
		},
		"denied and exempted": {
			Result{Images: []ImageResult{exempted(web), denied(web, v1alpha1.ActionDeny, reason)}, Gates: g},
			map[string]string{
				"verdict": "Denied", "images": web, "gates": gates, "codes": "NoSoak", "missing": "NoSignature NoSoak",
				"exceptions": web + " by Exception exception until 2026-11-26T12:00:00Z, signed by ana, bo: incident 117",
			},
		},
		"action of newer version": {
			Result{Images: []ImageResult{denied(web, "Quarantine", reason)}, Gates: g},
			map[string]string{"verdict": "Denied", "images": web, "gates": gates, "codes": "NoSoak"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			response := test.result.response()
			if diff := cmp.Diff(test.want, response.AuditAnnotations); diff != "" {
				t.Errorf("audit annotations (-want +got):\n%s", diff)
			}
			if want := test.want["verdict"] != "Denied"; response.Allowed != want {
				t.Errorf("allowed is %t, want %t", response.Allowed, want)
			}
		})
	}
}
