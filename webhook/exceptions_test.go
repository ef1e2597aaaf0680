package webhook

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/workload"
	"github.com/envladder/envladder/webhook/webhooktest"
)

func TestInvalidException(t *testing.T) {
	env := startedEnv(t)
	namespace, elsewhere := env.NewNamespace(t), env.NewNamespace(t)
	env.createGate(t, env.GateWithExceptions(namespace))
	strict := env.NewNamespace(t)
	env.createGate(t, env.ProdGate(strict))
	hour := time.Now().Add(time.Hour)
	for name, test := range map[string]struct {
		about, in string // namespaces: that it is for, that it is shown in
		end       time.Time
		by        []string
		want      gate.Code
	}{
		"expired":                                 {namespace, namespace, time.Now().Add(-time.Minute), []string{"ana", "bo"}, gate.ExceptionExpired},
		"for other namespace":                     {elsewhere, namespace, hour, []string{"ana", "bo"}, gate.ExceptionElsewhere},
		"signed by one of two":                    {namespace, namespace, hour, []string{"ana"}, gate.ExceptionUnsigned},
		"signed by one, twice":                    {namespace, namespace, hour, []string{"bo", "bo"}, gate.ExceptionUnsigned},
		"signed by one and unknown signer":        {namespace, namespace, hour, []string{"ana", "stranger"}, gate.ExceptionUnsigned},
		"signed by signers of other requirements": {namespace, namespace, hour, []string{"ci", "observer"}, gate.ExceptionUnsigned},
		"Gate without exceptions":                 {strict, strict, hour, []string{"ana", "bo"}, gate.ExceptionRefused},
	} {
		t.Run(name, func(t *testing.T) {
			image := env.Push(t, "shop/web")
			env.createException(t, image, test.about, test.end, test.by...)
			var warnings []string
			err := env.Impersonate(t, "", &warnings).Create(t.Context(), webhooktest.NewPod(test.in, "web", image))
			webhooktest.WantCodes(t, err, test.want, gate.NoSignature, gate.NoSoak)
			if len(warnings) > 0 {
				t.Errorf("the denial has the warnings %q", warnings)
			}
		})
	}
}

// TestExceptionIsReported checks that an admission by an Exception is visible to the deployer, in
// the audit log and in the webhook's log.
func TestExceptionIsReported(t *testing.T) {
	env := startedEnv(t)
	namespace := env.NewNamespace(t)
	env.createGate(t, env.GateWithExceptions(namespace))
	image, other := env.Push(t, "shop/web"), env.Push(t, "shop/web")
	webhooktest.WantCodes(t, env.Client.Create(t.Context(), webhooktest.NewPod(namespace, "before", image)), gate.NoSignature, gate.NoSoak)
	end := time.Now().Add(time.Hour).Truncate(time.Second)
	exception := env.createException(t, image, namespace, end, "ana", "bo")

	var warnings []string
	deployer := env.Impersonate(t, "", &warnings)
	webhooktest.WantCodes(t, deployer.Create(t.Context(), webhooktest.NewDeployment(namespace, image)))
	by := "Exception " + exception.Name + " until " + end.UTC().Format(time.RFC3339) + ", signed by ana, bo: incident 117"
	short := strings.TrimPrefix(image, env.Host+"/")[:len("shop/web@sha256:")+12] + "…"
	if want := []string{"UNPROVEN: " + short + " by " + by}; !slices.Equal(warnings, want) {
		t.Errorf("the warnings are %q, want %q", warnings, want)
	}
	var line string
	for text := range strings.Lines(env.logs.String()) {
		if strings.Contains(text, "verdict=Exempted") && strings.Contains(text, " namespace="+namespace+" kind=Deployment ") {
			line = text
		}
	}
	for _, want := range []string{"level=WARN", image + " by " + by, `missing="[NoSignature NoSoak]"`} {
		if !strings.Contains(line, want) {
			t.Errorf("the log has %q, without %q", line, want)
		}
	}

	p := env.restart(t)
	request := webhooktest.PodRequest(image)
	request.Namespace = namespace
	annotations := webhooktest.Send(t, p.handler(), "/validate", request).AuditAnnotations
	delete(annotations, "gates")
	want := map[string]string{"verdict": "Exempted", "images": image, "exceptions": image + " by " + by, "missing": "NoSignature NoSoak"}
	if diff := cmp.Diff(want, annotations); diff != "" {
		t.Errorf("audit annotations (-want +got):\n%s", diff)
	}

	webhooktest.WantCodes(t, deployer.Create(t.Context(), webhooktest.NewPod(namespace, "other", other)), gate.NoSignature, gate.NoSoak)
	webhooktest.WantCodes(t, deployer.Create(t.Context(), webhooktest.NewPod(namespace, "web", image)))
	if err := env.Client.Delete(t.Context(), exception); err != nil {
		t.Fatal(err)
	}
	if err := webhooktest.WaitUntil(func() bool { return !env.hasException(exception.Name) }); err != nil {
		t.Fatal(err)
	}
	webhooktest.WantCodes(t, deployer.Create(t.Context(), webhooktest.NewPod(namespace, "after", image)), gate.NoSignature, gate.NoSoak)
}

func TestRecallOverridesException(t *testing.T) {
	env := startedEnv(t)
	namespace := env.NewNamespace(t)
	env.createGate(t, env.GateWithExceptions(namespace))
	image := env.Push(t, "shop/web")
	env.createException(t, image, namespace, time.Now().Add(time.Hour), "ana", "bo")
	webhooktest.WantCodes(t, env.Client.Create(t.Context(), webhooktest.NewPod(namespace, "before", image)))
	env.createRecall(t, workload.DigestOf(image))
	webhooktest.WantCodes(t, env.Client.Create(t.Context(), webhooktest.NewPod(namespace, "after", image)), gate.Recalled)
}
