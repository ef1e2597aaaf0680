package webhook

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/evidence"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/registry"
	"github.com/envladder/envladder/internal/tracing"
	"github.com/envladder/envladder/internal/verdict"
	"github.com/envladder/envladder/internal/workload"
	"github.com/envladder/envladder/webhook/webhooktest"
)

func TestPodRequiresProof(t *testing.T) {
	env := startedEnv(t)
	namespace := env.NewNamespace(t)
	g := env.ProdGate(namespace)
	dead := "127.0.0.1:1" // nothing listens on port 1
	g.Spec.Images = append(g.Spec.Images, v1alpha1.GateImage{Repository: dead + "/shop/web", Ladder: "shop"})
	env.createGate(t, g)

	unsigned := env.Push(t, "shop/web")
	signed := env.Push(t, "shop/web")
	env.Sign(t, signed, "ci")
	soaked := env.Push(t, "shop/web")
	env.AttestSoak(t, soaked, "observer", time.Hour)
	swapped := env.Push(t, "shop/web") // each signs what the other should
	env.Sign(t, swapped, "observer")
	env.AttestSoak(t, swapped, "ci", time.Hour)
	stranger := env.Push(t, "shop/web")
	env.Sign(t, stranger, "stranger")
	env.AttestSoak(t, stranger, "stranger", time.Hour)
	short := env.Push(t, "shop/web")
	env.Sign(t, short, "ci")
	env.Attest(t, short, "observer", gate.PredicateSoak, webhooktest.NewSoak(short, 6*time.Hour+12*time.Minute, time.Hour))
	proven, aged, recalled := env.PushProven(t), env.PushAged(t), env.PushProven(t)
	env.createRecall(t, workload.DigestOf(recalled))
	rebuilt := strings.Replace(env.Push(t, "shop/web"), "@", ":1.0@", 1)
	repository, digest, _ := strings.Cut(proven, "@")

	for name, test := range map[string]struct {
		image string
		want  []gate.Code
	}{
		"unsigned":                            {unsigned, []gate.Code{gate.NoSignature, gate.NoSoak}},
		"signed, not soaked":                  {signed, []gate.Code{gate.NoSoak}},
		"soaked, unsigned":                    {soaked, []gate.Code{gate.NoSignature}},
		"signed by observer, soaked by CI":    {swapped, []gate.Code{gate.NoSignature, gate.NoSoak, gate.WrongSigner, gate.WrongSigner}},
		"signed and soaked by unknown signer": {stranger, []gate.Code{gate.NoSignature, gate.NoSoak}},
		"soaked too short":                    {short, []gate.Code{gate.SoakTooShort}},
		"soaked too long ago":                 {aged, []gate.Code{gate.SoakTooOld}},
		"all valid":                           {proven, nil},
		"all valid, tag and digest":           {repository + ":1.0@" + digest, nil},
		"tag only":                            {repository + ":1.0", []gate.Code{gate.NoDigest}},
		"no tag, no digest":                   {repository, []gate.Code{gate.NoDigest}},
		"recalled":                            {recalled, []gate.Code{gate.Recalled}},
		"rebuilt under same tag":              {rebuilt, []gate.Code{gate.NoSignature, gate.NoSoak}},
		"not in Gate":                         {env.Host + "/other/web@" + digest, []gate.Code{gate.UnknownImage}},
		"in exemptImages, by digest":          {env.Host + "/sidecar/proxy@" + digest, nil},
		"in exemptImages, by tag":             {env.Host + "/sidecar/proxy:1", []gate.Code{gate.NoDigest}},
		"digest too short":                    {strings.TrimSuffix(proven, proven[len(proven)-1:]), []gate.Code{gate.UnknownImage}},
		"digest in upper case":                {repository + "@" + strings.ToUpper(digest), []gate.Code{gate.UnknownImage}},
		"registry down":                       {dead + "/shop/web@" + digest, []gate.Code{gate.RegistryUnavailable}},
		"same digest in other repository":     {env.Host + "/shop/api@" + digest, []gate.Code{gate.NoSignature, gate.NoSoak}},
	} {
		t.Run(name, func(t *testing.T) {
			err := env.Client.Create(t.Context(), webhooktest.NewPod(namespace, strings.Map(toName, name), test.image))
			webhooktest.WantCodes(t, err, test.want...)
		})
	}
}

// toName replaces a character of a test's name that a pod's name must not have.
func toName(r rune) rune {
	if r >= 'a' && r <= 'z' {
		return r
	}
	return 'x'
}

func TestDenialMessage(t *testing.T) {
	env := startedEnv(t)
	namespace := env.NewNamespace(t)
	env.createGate(t, env.ProdGate(namespace))
	image := env.Push(t, "shop/web")
	env.Sign(t, image, "ci")
	env.Attest(t, image, "observer", gate.PredicateSoak, webhooktest.NewSoak(image, 6*time.Hour+12*time.Minute, time.Hour))

	err := env.Client.Create(t.Context(), webhooktest.NewDeployment(namespace, image))
	status := webhooktest.WantCodes(t, err, gate.SoakTooShort)

	_, text, _ := strings.Cut(status.Message, "denied the request: ")
	lines := strings.Split(text, "\n")
	head := "shop/web@" + workload.DigestOf(image)[:len("sha256:")+12] + "…: not proven for prod: "
	if !strings.HasPrefix(lines[0], head) || !strings.Contains(lines[0], "6h12m") || !strings.Contains(lines[0], "24h") {
		t.Errorf("the first line is %q, want the sentence %q with 6h12m of 24h", lines[0], head)
	}
	if len(lines) != 3 || !strings.HasPrefix(lines[1], "- SoakTooShort: ") || !strings.HasPrefix(lines[2], "- judged by Gate gate-"+namespace+" generation 1 sha256:") {
		t.Errorf("below the sentence is %q, want the reason with its code, and the Gate that judged", lines[1:])
	}
	if status.Code != 403 || status.Reason != metav1.StatusReasonForbidden {
		t.Errorf("the status is %d %s, want 403 Forbidden", status.Code, status.Reason)
	}
	if field := status.Details.Causes[0].Field; field != "spec.template.spec.containers[0].image" {
		t.Errorf("the cause's field is %q", field)
	}
	if log := env.logs.String(); !strings.Contains(log, "namespace="+namespace+" kind=Deployment name=web user=") || !strings.Contains(log, "SoakTooShort") {
		t.Error("the log has no line with namespace, kind, name, user and codes of the denial")
	}
}

func TestKinds(t *testing.T) {
	env := startedEnv(t)
	namespace := env.NewNamespace(t)
	env.createGate(t, env.ProdGate(namespace))
	unproven, proven := env.Push(t, "shop/web"), env.PushProven(t)

	for kind, denied := range webhooktest.Workloads(namespace, unproven) {
		t.Run(kind, func(t *testing.T) {
			status := webhooktest.WantCodes(t, env.Client.Create(t.Context(), denied.Object), gate.NoSignature, gate.NoSoak)
			for _, cause := range status.Details.Causes {
				if cause.Field != denied.Field {
					t.Errorf("the cause names the field %q, want %q", cause.Field, denied.Field)
				}
			}
			webhooktest.WantCodes(t, env.Client.Create(t.Context(), webhooktest.Workloads(namespace, proven)[kind].Object))
		})
	}
}

func TestPodImages(t *testing.T) {
	env := startedEnv(t)
	namespace := env.NewNamespace(t)
	env.createGate(t, env.ProdGate(namespace))
	unproven, proven := env.Push(t, "shop/web"), env.PushProven(t)

	for field, add := range map[string]func(*corev1.PodSpec, string){
		"spec.initContainers[0].image": func(spec *corev1.PodSpec, image string) {
			spec.InitContainers = []corev1.Container{{Name: "init", Image: image}}
		},
		"spec.containers[1].image": func(spec *corev1.PodSpec, image string) {
			spec.Containers = append(spec.Containers, corev1.Container{Name: "second", Image: image})
		},
		"spec.volumes[0].image.reference": func(spec *corev1.PodSpec, image string) {
			spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{Image: &corev1.ImageVolumeSource{Reference: image}}}}
			spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}
		},
	} {
		t.Run(field, func(t *testing.T) {
			pod := webhooktest.NewPod(namespace, "", proven)
			pod.GenerateName = "web-"
			add(&pod.Spec, unproven)
			status := webhooktest.WantCodes(t, env.Client.Create(t.Context(), pod), gate.NoSignature, gate.NoSoak)
			if got := status.Details.Causes[0].Field; got != field {
				t.Errorf("the cause names the field %q, want %q", got, field)
			}

			pod = webhooktest.NewPod(namespace, "", proven)
			pod.GenerateName = "web-"
			add(&pod.Spec, proven)
			webhooktest.WantCodes(t, env.Client.Create(t.Context(), pod))
		})
	}
}

func TestEphemeralContainers(t *testing.T) {
	env := startedEnv(t)
	namespace := env.NewNamespace(t)
	env.createGate(t, env.ProdGate(namespace))
	running := env.PushProven(t)
	pod := webhooktest.NewPod(namespace, "web", running)
	if err := env.Client.Create(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	clientset := kubernetes.NewForConfigOrDie(env.Admin)
	debug := func(name, image string) error {
		live, err := clientset.CoreV1().Pods(namespace).Get(t.Context(), "web", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		live.Spec.EphemeralContainers = append(live.Spec.EphemeralContainers, corev1.EphemeralContainer{
			EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: name, Image: image, TerminationMessagePolicy: corev1.TerminationMessageReadFile},
		})
		_, err = clientset.CoreV1().Pods(namespace).UpdateEphemeralContainers(t.Context(), "web", live, metav1.UpdateOptions{})
		return err
	}

	status := webhooktest.WantCodes(t, debug("unproven", env.Push(t, "shop/debug")), gate.NoSignature, gate.NoSoak)
	if field := status.Details.Causes[0].Field; field != "spec.ephemeralContainers[0].image" {
		t.Errorf("the cause names the field %q", field)
	}
	webhooktest.WantCodes(t, debug("proven", env.PushProven(t)))

	env.createRecall(t, workload.DigestOf(running))
	webhooktest.WantCodes(t, debug("other", env.Host+"/sidecar/debug@"+workload.DigestOf(env.Push(t, "sidecar/debug"))))
	webhooktest.WantCodes(t, debug("recalled", running), gate.Recalled)
}

func TestActions(t *testing.T) {
	env := startedEnv(t)
	unproven := env.Push(t, "shop/web")

	t.Run("Warn admits and warns", func(t *testing.T) {
		namespace := env.NewNamespace(t)
		g := env.ProdGate(namespace)
		g.Spec.Action = v1alpha1.ActionWarn
		env.createGate(t, g)
		var warnings []string
		webhooktest.WantCodes(t, env.Impersonate(t, "", &warnings).Create(t.Context(), webhooktest.NewPod(namespace, "web", unproven)))
		if len(warnings) != 1 || !strings.HasPrefix(warnings[0], "would be denied: shop/web@sha256:") || !strings.HasSuffix(warnings[0], ": NoSignature, NoSoak") || len([]rune(warnings[0])) > 256 {
			t.Errorf("the warnings are %q, want one of at most 256 characters with codes and image", warnings)
		}
	})
	t.Run("Audit admits and logs", func(t *testing.T) {
		namespace := env.NewNamespace(t)
		g := env.ProdGate(namespace)
		g.Spec.Action = v1alpha1.ActionAudit
		env.createGate(t, g)
		var warnings []string
		webhooktest.WantCodes(t, env.Impersonate(t, "", &warnings).Create(t.Context(), webhooktest.NewPod(namespace, "web", unproven)))
		if len(warnings) != 0 {
			t.Errorf("the warnings are %q, want none", warnings)
		}
		if !strings.Contains(env.logs.String(), `msg=verdict verdict=Audited codes="[NoSignature NoSoak]" operation=CREATE namespace=`+namespace) {
			t.Error("the log has no line about the pod")
		}
	})
	t.Run("dry run has same verdict", func(t *testing.T) {
		namespace := env.NewNamespace(t)
		env.createGate(t, env.ProdGate(namespace))
		webhooktest.WantCodes(t, env.Client.Create(t.Context(), webhooktest.NewPod(namespace, "web", unproven), client.DryRunAll), gate.NoSignature, gate.NoSoak)
	})
}

// TestTraces checks that a review's span is a child of the API server's span, and the parent of
// all spans of its work.
func TestTraces(t *testing.T) {
	env := startedEnv(t)
	namespace := env.NewNamespace(t)
	env.createGate(t, env.ProdGate(namespace))
	image := env.Push(t, "shop/web")
	env.Sign(t, image, "ci")
	client := registry.NewClient()
	client.Wrap(tracing.Transport)
	p := env.restart(t, func(c *Config) {
		c.Judge = verdict.New(evidence.NewStore(client, evidence.NewTrust(evidence.TrustOptions{})))
		c.EvidenceCache, c.EvidenceSource = nil, nil
	})

	spans := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	otel.SetTracerProvider(provider)
	otel.SetTextMapPropagator(propagation.TraceContext{})
	request := webhooktest.PodRequest(image)
	request.Namespace = namespace
	webhooktest.Send(t, p.handler(), "/validate", request, func(call *http.Request) {
		call.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	})
	defer func() { _ = provider.Shutdown(context.Background()) }() // the package's other tests record nothing

	parents := map[string][]string{} // of each span, by names
	names := map[string]string{"b7ad6b7169203331": "the API server's"}
	own := slices.DeleteFunc(spans.GetSpans(), func(s tracetest.SpanStub) bool {
		return s.SpanContext.TraceID().String() != "0af7651916cd43dd8448eb211c80319c"
	})
	for _, span := range own {
		names[span.SpanContext.SpanID().String()] = span.Name
	}
	for _, span := range own {
		parents[span.Name] = append(parents[span.Name], names[span.Parent.SpanID().String()])
	}
	for name, parent := range map[string]string{
		"review": "the API server's", "judge image": "review", "fetch evidence": "judge image",
		"registry GET": "fetch evidence", "verify bundle": "fetch evidence",
	} {
		if !slices.Contains(parents[name], parent) {
			t.Errorf("span %q has no parent %q, but %q", name, parent, parents[name])
		}
	}
	for _, span := range own {
		if span.Name == "review" && !slices.Contains(span.Attributes, attribute.String("envladder.verdict", "Denied")) {
			t.Errorf("the review's attributes are %v", span.Attributes)
		}
		if span.Name == "judge image" && (!slices.Contains(span.Attributes, attribute.String("envladder.image", image)) ||
			!slices.Contains(span.Attributes, attribute.StringSlice("envladder.codes", []string{"NoSoak"}))) {
			t.Errorf("the verdict's attributes are %v", span.Attributes)
		}
	}
}

// TestUngatedNamespace checks that a namespace which is sent to the webhook denies once its Gate
// was deleted.
func TestUngatedNamespace(t *testing.T) {
	env := startedEnv(t)
	namespace := env.NewNamespace(t)
	g := env.ProdGate(namespace)
	if err := env.Client.Create(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	gated := func() bool { return len(env.program.policies.GatesFor(namespace)) > 0 }
	if err := webhooktest.WaitUntil(gated); err != nil {
		t.Fatal(err)
	}
	proven := env.PushProven(t)
	deployment := webhooktest.NewDeployment(namespace, proven)
	webhooktest.WantCodes(t, env.Client.Create(t.Context(), deployment))
	if err := env.Client.Delete(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	if err := webhooktest.WaitUntil(func() bool { return !gated() }); err != nil {
		t.Fatal(err)
	}

	status := webhooktest.WantCodes(t, env.Client.Create(t.Context(), webhooktest.NewPod(namespace, "web", proven)), gate.NoGate)
	if want := fmt.Sprintf("no Gate names namespace %q", namespace); !strings.Contains(status.Message, want) {
		t.Errorf("the message %q doesn't say %q", status.Message, want)
	}
	deployment.Spec.Replicas = new(int32(0))
	webhooktest.WantCodes(t, env.Client.Update(t.Context(), deployment)) // starts nothing new
	deployment.Spec.Template.Labels["b"] = "c"
	webhooktest.WantCodes(t, env.Client.Update(t.Context(), deployment), gate.NoGate)
	webhooktest.WantCodes(t, env.Client.Delete(t.Context(), deployment))
}

func TestTwoGates(t *testing.T) {
	env := startedEnv(t)
	namespace := env.NewNamespace(t)
	env.createGate(t, env.ProdGate(namespace))
	env.createGate(t, env.BankGate(namespace))
	unsigned, signed := env.Push(t, "bank/ledger"), env.Push(t, "bank/ledger")
	env.Sign(t, signed, "ci")

	webhooktest.WantCodes(t, env.Client.Create(t.Context(), webhooktest.NewPod(namespace, "signed", signed)))
	webhooktest.WantCodes(t, env.Client.Create(t.Context(), webhooktest.NewPod(namespace, "unsigned", unsigned)), gate.NoSignature)
	webhooktest.WantCodes(t, env.Client.Create(t.Context(), webhooktest.NewPod(namespace, "shop", env.Push(t, "shop/web"))), gate.NoSignature, gate.NoSoak)

	both := webhooktest.NewPod(namespace, "both", env.PushProven(t))
	both.Spec.Containers = append(both.Spec.Containers, corev1.Container{Name: "ledger", Image: unsigned})
	status := webhooktest.WantCodes(t, env.Client.Create(t.Context(), both), gate.NoSignature)
	if field := status.Details.Causes[0].Field; field != "spec.containers[1].image" {
		t.Errorf("the cause names the field %q, want the second Gate's image", field)
	}
}

// TestTwoGatesOneWarns checks that a Gate which warns judges what another Gate exempts, and
// admits nothing that the other doesn't list.
func TestTwoGatesOneWarns(t *testing.T) {
	env := startedEnv(t)
	unsigned, signed := env.Push(t, "bank/ledger"), env.Push(t, "bank/ledger")
	env.Sign(t, signed, "ci")

	t.Run("image not listed by denying Gate", func(t *testing.T) {
		namespace := env.NewNamespace(t)
		env.createGate(t, env.ProdGate(namespace))
		bank := env.BankGate(namespace)
		bank.Spec.Action = v1alpha1.ActionWarn
		env.createGate(t, bank)
		webhooktest.WantCodes(t, env.Client.Create(t.Context(), webhooktest.NewPod(namespace, "signed", signed)), gate.UnknownImage)
	})
	t.Run("image exempted by denying Gate", func(t *testing.T) {
		namespace := env.NewNamespace(t)
		shop := env.ProdGate(namespace)
		shop.Spec.ExemptImages = append(shop.Spec.ExemptImages, v1alpha1.ExemptImage{Repository: env.Host + "/bank/*"})
		env.createGate(t, shop)
		bank := env.BankGate(namespace)
		bank.Spec.Action = v1alpha1.ActionWarn
		env.createGate(t, bank)
		var warnings []string
		warned := env.Impersonate(t, "", &warnings)

		webhooktest.WantCodes(t, warned.Create(t.Context(), webhooktest.NewPod(namespace, "signed", signed)))
		if len(warnings) != 0 {
			t.Errorf("an image that the Gate admits gets the warnings %q", warnings)
		}
		both := webhooktest.NewPod(namespace, "both", env.PushProven(t))
		both.Spec.Containers = append(both.Spec.Containers, corev1.Container{Name: "ledger", Image: unsigned})
		webhooktest.WantCodes(t, warned.Create(t.Context(), both))
		if len(warnings) != 1 || !strings.Contains(warnings[0], "NoSignature") {
			t.Errorf("a pod with an image that the Gate would deny gets the warnings %q, want one", warnings)
		}
	})
}
