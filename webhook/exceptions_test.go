package webhook

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/evidence"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/logtest"
	"github.com/envladder/envladder/internal/registry"
	"github.com/envladder/envladder/internal/workload"
)

// lenientGate is prodGate, and takes the leave of both ana and bo.
func (b *bed) lenientGate(namespace string) *v1alpha1.Gate {
	g := b.prodGate(namespace)
	for _, name := range []string{"ana", "bo"} {
		g.Spec.Signers = append(g.Spec.Signers, v1alpha1.Signer{Name: name, Key: &v1alpha1.KeySigner{Data: b.keys[name].PublicPEM()}})
	}
	g.Spec.Exceptions = &v1alpha1.ExceptionPolicy{By: []string{"ana", "bo"}, Count: 2}
	return g
}

// leave creates an Exception that these keys sign for a namespace, and waits until the
// webhook has read it.
func (b *bed) leave(t *testing.T, reference, namespace string, end time.Time, keys ...string) *v1alpha1.Exception {
	t.Helper()
	repository, digest, _ := strings.Cut(reference, "@")
	exception := &v1alpha1.Exception{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "leave-"},
		Spec:       v1alpha1.ExceptionSpec{Digest: digest, Namespaces: []string{namespace}, Reason: "incident 117", ExpiresAt: metav1.NewTime(end)},
	}
	client := registry.NewClient()
	target, err := evidence.FindTarget(t.Context(), client, repository, digest)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		attested, err := evidence.Attest(t.Context(), client, b.keys[key], target, gate.PredicateException, gate.Leave{Namespace: namespace, Reason: "incident 117", ExpiresAt: &end})
		if err != nil {
			t.Fatal(err)
		}
		exception.Spec.Bundles = append(exception.Spec.Bundles, attested.Bundle)
	}
	if err := b.client.Create(t.Context(), exception); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.client.Delete(context.Background(), exception); err != nil && !apierrors.IsNotFound(err) {
			t.Error(err)
		}
	})
	if err := until(func() bool { return b.knows(exception.Name) }); err != nil {
		t.Fatalf("waiting until the webhook has read the Exception: %v", err)
	}
	return exception
}

// knows says whether the webhook has an Exception.
func (b *bed) knows(exception string) bool {
	return slices.ContainsFunc(b.program.gates.excepted(), func(x v1alpha1.Exception) bool { return x.Name == exception })
}

func TestAnExceptionThatDoesntCount(t *testing.T) {
	b := up(t)
	namespace, elsewhere := b.namespace(t), b.namespace(t)
	b.gate(t, b.lenientGate(namespace))
	strict := b.namespace(t)
	b.gate(t, b.prodGate(strict))
	hour := time.Now().Add(time.Hour)
	for name, test := range map[string]struct {
		about, in string // namespaces: that it is for, that it is shown in
		end       time.Time
		by        []string
		want      gate.Code
	}{
		"expired":                        {namespace, namespace, time.Now().Add(-time.Minute), []string{"ana", "bo"}, gate.ExceptionExpired},
		"for another namespace":          {elsewhere, namespace, hour, []string{"ana", "bo"}, gate.ExceptionElsewhere},
		"signed by one of two":           {namespace, namespace, hour, []string{"ana"}, gate.ExceptionUnsigned},
		"signed by one, twice":           {namespace, namespace, hour, []string{"bo", "bo"}, gate.ExceptionUnsigned},
		"signed by one and a stranger":   {namespace, namespace, hour, []string{"ana", "stranger"}, gate.ExceptionUnsigned},
		"signed by who has no word here": {namespace, namespace, hour, []string{"ci", "observer"}, gate.ExceptionUnsigned},
		"where the Gate takes none":      {strict, strict, hour, []string{"ana", "bo"}, gate.ExceptionRefused},
	} {
		t.Run(name, func(t *testing.T) {
			image := b.push(t, "shop/web")
			b.leave(t, image, test.about, test.end, test.by...)
			var warnings []string
			err := b.as(t, "", &warnings).Create(t.Context(), newPod(test.in, "web", image))
			wantCodes(t, err, test.want, gate.NoSignature, gate.NoSoak)
			if len(warnings) > 0 {
				t.Errorf("beside the denial there are the warnings %q", warnings)
			}
		})
	}
}

// TestAnExceptionIsLoud: who gives leave to run what is unproven is seen by the deployer, in
// the audit log, in the webhook's log and in its metrics.
func TestAnExceptionIsLoud(t *testing.T) {
	b := up(t)
	namespace := b.namespace(t)
	b.gate(t, b.lenientGate(namespace))
	image, other := b.push(t, "shop/web"), b.push(t, "shop/web")
	wantCodes(t, b.client.Create(t.Context(), newPod(namespace, "before", image)), gate.NoSignature, gate.NoSoak)
	end := time.Now().Add(time.Hour).Truncate(time.Second)
	exception := b.leave(t, image, namespace, end, "ana", "bo")

	var warnings []string
	loud := b.as(t, "", &warnings)
	wantCodes(t, loud.Create(t.Context(), newDeployment(namespace, image)))
	by := "Exception " + exception.Name + " until " + end.UTC().Format(time.RFC3339) + ", signed by ana, bo: incident 117"
	if want := []string{"UNPROVEN: " + short(image) + " by " + by}; !slices.Equal(warnings, want) {
		t.Errorf("the warnings are %q, want %q", warnings, want)
	}
	var line string
	for text := range strings.Lines(b.logs.String()) {
		if strings.Contains(text, "verdict=Exempted") && strings.Contains(text, " namespace="+namespace+" kind=Deployment ") {
			line = text
		}
	}
	for _, want := range []string{"level=WARN", image + " by " + by, `missing="[NoSignature NoSoak]"`} {
		if !strings.Contains(line, want) {
			t.Errorf("the log says %q, without %q", line, want)
		}
	}

	p := b.restarted(t)
	request := podRequest(image)
	request.Namespace = namespace
	annotations := p.reviews.ask(t, "/validate", request).AuditAnnotations
	delete(annotations, "gates")
	want := map[string]string{"verdict": "Exempted", "images": image, "exceptions": image + " by " + by, "missing": "NoSignature NoSoak"}
	if diff := cmp.Diff(want, annotations); diff != "" {
		t.Errorf("audit annotations (-want +got):\n%s", diff)
	}

	wantCodes(t, loud.Create(t.Context(), newPod(namespace, "other", other)), gate.NoSignature, gate.NoSoak)
	wantCodes(t, loud.Create(t.Context(), newPod(namespace, "web", image)))
	if err := b.client.Delete(t.Context(), exception); err != nil {
		t.Fatal(err)
	}
	if err := until(func() bool { return !b.knows(exception.Name) }); err != nil {
		t.Fatal(err)
	}
	wantCodes(t, loud.Create(t.Context(), newPod(namespace, "after", image)), gate.NoSignature, gate.NoSoak)
}

func TestARecallCountsUnderAnException(t *testing.T) {
	b := up(t)
	namespace := b.namespace(t)
	b.gate(t, b.lenientGate(namespace))
	image := b.push(t, "shop/web")
	b.leave(t, image, namespace, time.Now().Add(time.Hour), "ana", "bo")
	wantCodes(t, b.client.Create(t.Context(), newPod(namespace, "before", image)))
	b.recall(t, workload.DigestOf(image))
	wantCodes(t, b.client.Create(t.Context(), newPod(namespace, "after", image)), gate.Recalled)
}

// TestAnExceptionThatCantBeRead gives no leave, and keeps nobody out: it ends what an
// older one of its name gave.
func TestAnExceptionThatCantBeRead(t *testing.T) {
	var log logtest.Buffer
	s := newStore(slog.New(slog.NewTextHandler(&log, nil)))
	exception := func(more map[string]any) *unstructured.Unstructured {
		spec := map[string]any{
			"digest": "sha256:" + sixtyFour('a'), "namespaces": []any{"shop"}, "reason": "incident 117",
			"expiresAt": "2026-11-26T12:00:00Z", "bundles": []any{"e30="},
		}
		maps.Copy(spec, more)
		u := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
		u.SetGroupVersionKind(exceptionKind)
		u.SetName("leave")
		return u
	}
	for name, more := range map[string]map[string]any{
		"a field of a newer version": {"weekdays": []any{"Monday"}},
		"a wrong type":               {"bundles": "e30="},
		"no digest":                  {"digest": ""},
	} {
		t.Run(name, func(t *testing.T) {
			s.setException(exception(nil))
			if len(s.excepted()) != 1 {
				t.Fatalf("one that can be read isn't: %s", log.String())
			}
			s.setException(exception(more))
			if got := s.excepted(); len(got) != 0 {
				t.Errorf("it gives leave: %+v", got)
			}
			if recall, err := s.unreadRecall(); err != nil {
				t.Errorf("it keeps all out, as Recall %q", recall)
			}
			if !strings.Contains(log.String(), "it gives no leave") {
				t.Errorf("the log doesn't say so: %s", log.String())
			}
		})
	}
}
