package webhook

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/workload"
)

// denial is what a request was refused with: its codes, or none where it was admitted.
// Any other failure ends the test.
func denial(t *testing.T, err error) (codes []string, status metav1.Status) {
	t.Helper()
	if err == nil {
		return nil, metav1.Status{}
	}
	var refused *apierrors.StatusError
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), `admission webhook "validate.envladder.dev" denied the request`) {
		t.Fatalf("the request failed, and not by the webhook's word: %v", err)
	}
	status = refused.ErrStatus
	if status.Details == nil || len(status.Details.Causes) == 0 {
		t.Fatalf("the denial has no causes: %v", err)
	}
	for _, cause := range status.Details.Causes {
		codes = append(codes, string(cause.Type))
	}
	return codes, status
}

// wantCodes checks that a request was denied with just these codes; admitted without any.
func wantCodes(t *testing.T, err error, want ...gate.Code) metav1.Status {
	t.Helper()
	codes, status := denial(t, err)
	var wanted []string
	for _, code := range want {
		wanted = append(wanted, string(code))
	}
	if diff := cmp.Diff(wanted, codes); diff != "" {
		t.Fatalf("codes of the denial (-want +got):\n%s\n%s", diff, status.Message)
	}
	return status
}

func TestPodIsAdmittedOnlyWithProof(t *testing.T) {
	b := up(t)
	namespace := b.namespace(t)
	g := b.prodGate(namespace)
	dead := "127.0.0.1:1" // nobody listens on port 1
	g.Spec.Images = append(g.Spec.Images, v1alpha1.GateImage{Repository: dead + "/shop/web", Ladder: "shop"})
	b.gate(t, g)

	unsigned := b.push(t, "shop/web")
	signed := b.push(t, "shop/web")
	b.sign(t, signed, "ci")
	soaked := b.push(t, "shop/web")
	b.soak(t, soaked, "observer", time.Hour)
	swapped := b.push(t, "shop/web") // each signs what the other should
	b.sign(t, swapped, "observer")
	b.soak(t, swapped, "ci", time.Hour)
	stranger := b.push(t, "shop/web")
	b.sign(t, stranger, "stranger")
	b.soak(t, stranger, "stranger", time.Hour)
	short := b.push(t, "shop/web")
	b.sign(t, short, "ci")
	b.attest(t, short, "observer", gate.PredicateSoak, soakOf(short, 6*time.Hour+12*time.Minute, time.Hour))
	proven, aged, recalled := b.proven(t), b.aged(t), b.proven(t)
	b.recall(t, workload.DigestOf(recalled))
	rebuilt := strings.Replace(b.push(t, "shop/web"), "@", ":1.0@", 1)
	repository, digest, _ := strings.Cut(proven, "@")

	for name, test := range map[string]struct {
		image string
		want  []gate.Code
	}{
		"unsigned":                              {unsigned, []gate.Code{gate.NoSignature, gate.NoSoak}},
		"signed, not soaked":                    {signed, []gate.Code{gate.NoSoak}},
		"soaked, unsigned":                      {soaked, []gate.Code{gate.NoSignature}},
		"signed by the observer, soaked by CI":  {swapped, []gate.Code{gate.NoSignature, gate.NoSoak, gate.WrongSigner, gate.WrongSigner}},
		"signed and soaked by a stranger":       {stranger, []gate.Code{gate.NoSignature, gate.NoSoak}},
		"soaked too short":                      {short, []gate.Code{gate.SoakTooShort}},
		"soaked too long ago":                   {aged, []gate.Code{gate.SoakTooOld}},
		"all valid":                             {proven, nil},
		"all valid, with a tag beside":          {repository + ":1.0@" + digest, nil},
		"tag only":                              {repository + ":1.0", []gate.Code{gate.NoDigest}},
		"no tag, no digest":                     {repository, []gate.Code{gate.NoDigest}},
		"recalled":                              {recalled, []gate.Code{gate.Recalled}},
		"rebuilt under the proven one's tag":    {rebuilt, []gate.Code{gate.NoSignature, gate.NoSoak}},
		"not in the Gate":                       {b.registry + "/other/web@" + digest, []gate.Code{gate.UnknownImage}},
		"in exemptImages, by digest":            {b.registry + "/sidecar/proxy@" + digest, nil},
		"in exemptImages, by tag":               {b.registry + "/sidecar/proxy:1", []gate.Code{gate.NoDigest}},
		"digest too short":                      {strings.TrimSuffix(proven, proven[len(proven)-1:]), []gate.Code{gate.UnknownImage}},
		"digest in upper case":                  {repository + "@" + strings.ToUpper(digest), []gate.Code{gate.UnknownImage}},
		"registry down":                         {dead + "/shop/web@" + digest, []gate.Code{gate.RegistryUnavailable}},
		"proof of the proven one's, other name": {b.registry + "/shop/api@" + digest, []gate.Code{gate.NoSignature, gate.NoSoak}},
	} {
		t.Run(name, func(t *testing.T) {
			err := b.client.Create(t.Context(), newPod(namespace, strings.Map(toName, name), test.image))
			wantCodes(t, err, test.want...)
		})
	}
}

// toName makes a pod's name of a test's.
func toName(r rune) rune {
	if r >= 'a' && r <= 'z' {
		return r
	}
	return 'x'
}

func TestDenialSaysWhy(t *testing.T) {
	b := up(t)
	namespace := b.namespace(t)
	b.gate(t, b.prodGate(namespace))
	image := b.push(t, "shop/web")
	b.sign(t, image, "ci")
	b.attest(t, image, "observer", gate.PredicateSoak, soakOf(image, 6*time.Hour+12*time.Minute, time.Hour))

	err := b.client.Create(t.Context(), newDeployment(namespace, image))
	status := wantCodes(t, err, gate.SoakTooShort)

	_, text, _ := strings.Cut(status.Message, "denied the request: ")
	lines := strings.Split(text, "\n")
	head := "shop/web@" + workload.DigestOf(image)[:len("sha256:")+12] + "…: not proven for prod: "
	if !strings.HasPrefix(lines[0], head) || !strings.Contains(lines[0], "6h12m") || !strings.Contains(lines[0], "24h") {
		t.Errorf("the first line is %q, want the sentence %q with 6h12m of 24h", lines[0], head)
	}
	if len(lines) != 3 || !strings.HasPrefix(lines[1], "- SoakTooShort: ") || !strings.HasPrefix(lines[2], "- asked Gate gate-"+namespace+" generation 1 sha256:") {
		t.Errorf("below the sentence is %q, want the reason with its code, and the Gate that was asked", lines[1:])
	}
	if status.Code != 403 || status.Reason != metav1.StatusReasonForbidden {
		t.Errorf("the status is %d %s, want 403 Forbidden", status.Code, status.Reason)
	}
	if field := status.Details.Causes[0].Field; field != "spec.template.spec.containers[0].image" {
		t.Errorf("the cause's field is %q", field)
	}
	if log := b.logs.String(); !strings.Contains(log, "namespace="+namespace+" kind=Deployment name=web user=") || !strings.Contains(log, "SoakTooShort") {
		t.Error("the log has no line with namespace, kind, name, user and codes of the denial")
	}
}

func TestEveryKindIsJudged(t *testing.T) {
	b := up(t)
	namespace := b.namespace(t)
	b.gate(t, b.prodGate(namespace))
	unproven, proven := b.push(t, "shop/web"), b.proven(t)

	for kind, denied := range workloads(namespace, unproven) {
		t.Run(kind, func(t *testing.T) {
			status := wantCodes(t, b.client.Create(t.Context(), denied.object), gate.NoSignature, gate.NoSoak)
			for _, cause := range status.Details.Causes {
				if cause.Field != denied.field {
					t.Errorf("the cause names the field %q, want %q", cause.Field, denied.field)
				}
			}
			wantCodes(t, b.client.Create(t.Context(), workloads(namespace, proven)[kind].object))
		})
	}
}

func TestEveryImageOfAPodIsJudged(t *testing.T) {
	b := up(t)
	namespace := b.namespace(t)
	b.gate(t, b.prodGate(namespace))
	unproven, proven := b.push(t, "shop/web"), b.proven(t)

	for place, add := range map[string]func(*corev1.PodSpec, string){
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
		t.Run(place, func(t *testing.T) {
			pod := newPod(namespace, "", proven)
			pod.GenerateName = "web-"
			add(&pod.Spec, unproven)
			status := wantCodes(t, b.client.Create(t.Context(), pod), gate.NoSignature, gate.NoSoak)
			if field := status.Details.Causes[0].Field; field != place {
				t.Errorf("the cause names the field %q, want %q", field, place)
			}

			pod = newPod(namespace, "", proven)
			pod.GenerateName = "web-"
			add(&pod.Spec, proven)
			wantCodes(t, b.client.Create(t.Context(), pod))
		})
	}
}

func TestEphemeralContainer(t *testing.T) {
	b := up(t)
	namespace := b.namespace(t)
	b.gate(t, b.prodGate(namespace))
	running := b.proven(t)
	pod := newPod(namespace, "web", running)
	if err := b.client.Create(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	clientset := kubernetes.NewForConfigOrDie(b.admin)
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

	status := wantCodes(t, debug("unproven", b.push(t, "shop/debug")), gate.NoSignature, gate.NoSoak)
	if field := status.Details.Causes[0].Field; field != "spec.ephemeralContainers[0].image" {
		t.Errorf("the cause names the field %q", field)
	}
	wantCodes(t, debug("proven", b.proven(t)))

	b.recall(t, workload.DigestOf(running))
	wantCodes(t, debug("other", b.registry+"/sidecar/debug@"+workload.DigestOf(b.push(t, "sidecar/debug"))))
	wantCodes(t, debug("recalled", running), gate.Recalled)
}

func TestActions(t *testing.T) {
	b := up(t)
	unproven := b.push(t, "shop/web")

	t.Run("Warn admits with a warning", func(t *testing.T) {
		namespace := b.namespace(t)
		g := b.prodGate(namespace)
		g.Spec.Action = v1alpha1.ActionWarn
		b.gate(t, g)
		var warnings []string
		wantCodes(t, b.as(t, "", &warnings).Create(t.Context(), newPod(namespace, "web", unproven)))
		if len(warnings) != 1 || !strings.HasPrefix(warnings[0], "would be denied: shop/web@sha256:") || !strings.HasSuffix(warnings[0], ": NoSignature, NoSoak") || len([]rune(warnings[0])) > 256 {
			t.Errorf("the warnings are %q, want one of at most 256 characters with codes and image", warnings)
		}
	})
	t.Run("Audit admits without a word, and logs", func(t *testing.T) {
		namespace := b.namespace(t)
		g := b.prodGate(namespace)
		g.Spec.Action = v1alpha1.ActionAudit
		b.gate(t, g)
		var warnings []string
		wantCodes(t, b.as(t, "", &warnings).Create(t.Context(), newPod(namespace, "web", unproven)))
		if len(warnings) != 0 {
			t.Errorf("the warnings are %q, want none", warnings)
		}
		if !strings.Contains(b.logs.String(), `msg=verdict verdict=Audited codes="[NoSignature NoSoak]" operation=CREATE namespace=`+namespace) {
			t.Error("the log has no line about the pod")
		}
	})
	t.Run("dry run gets the same verdict", func(t *testing.T) {
		namespace := b.namespace(t)
		b.gate(t, b.prodGate(namespace))
		wantCodes(t, b.client.Create(t.Context(), newPod(namespace, "web", unproven), client.DryRunAll), gate.NoSignature, gate.NoSoak)
	})
}

// TestNamespaceThatNoGateNames: it is sent, so it should be guarded; a Gate that is
// gone opens nothing.
func TestNamespaceThatNoGateNames(t *testing.T) {
	b := up(t)
	namespace := b.namespace(t)
	g := b.prodGate(namespace)
	if err := b.client.Create(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	guarded := func() bool { return len(b.program.gates.guarding(namespace)) > 0 }
	if err := until(guarded); err != nil {
		t.Fatal(err)
	}
	proven := b.proven(t)
	deployment := newDeployment(namespace, proven)
	wantCodes(t, b.client.Create(t.Context(), deployment))
	if err := b.client.Delete(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	if err := until(func() bool { return !guarded() }); err != nil {
		t.Fatal(err)
	}

	status := wantCodes(t, b.client.Create(t.Context(), newPod(namespace, "web", proven)), gate.NoGate)
	if want := fmt.Sprintf("no Gate names namespace %q", namespace); !strings.Contains(status.Message, want) {
		t.Errorf("the message %q doesn't say %q", status.Message, want)
	}
	deployment.Spec.Replicas = new(int32(0))
	wantCodes(t, b.client.Update(t.Context(), deployment)) // starts nothing new
	deployment.Spec.Template.Labels["b"] = "c"
	wantCodes(t, b.client.Update(t.Context(), deployment), gate.NoGate)
	wantCodes(t, b.client.Delete(t.Context(), deployment))
}

func TestTwoGatesOnOneNamespace(t *testing.T) {
	b := up(t)
	namespace := b.namespace(t)
	b.gate(t, b.prodGate(namespace))
	b.gate(t, b.bankGate(namespace))
	unsigned, signed := b.push(t, "bank/ledger"), b.push(t, "bank/ledger")
	b.sign(t, signed, "ci")

	wantCodes(t, b.client.Create(t.Context(), newPod(namespace, "signed", signed)))
	wantCodes(t, b.client.Create(t.Context(), newPod(namespace, "unsigned", unsigned)), gate.NoSignature)
	wantCodes(t, b.client.Create(t.Context(), newPod(namespace, "shop", b.push(t, "shop/web"))), gate.NoSignature, gate.NoSoak)

	both := newPod(namespace, "both", b.proven(t))
	both.Spec.Containers = append(both.Spec.Containers, corev1.Container{Name: "ledger", Image: unsigned})
	status := wantCodes(t, b.client.Create(t.Context(), both), gate.NoSignature)
	if field := status.Details.Causes[0].Field; field != "spec.containers[1].image" {
		t.Errorf("the cause names the field %q, want the second Gate's image", field)
	}
}

// TestAGateThatWarnsBesideOneThatDenies: it judges what the other lets by, and opens
// nothing that the other doesn't know.
func TestAGateThatWarnsBesideOneThatDenies(t *testing.T) {
	b := up(t)
	unsigned, signed := b.push(t, "bank/ledger"), b.push(t, "bank/ledger")
	b.sign(t, signed, "ci")

	t.Run("the other doesn't list the image", func(t *testing.T) {
		namespace := b.namespace(t)
		b.gate(t, b.prodGate(namespace))
		bank := b.bankGate(namespace)
		bank.Spec.Action = v1alpha1.ActionWarn
		b.gate(t, bank)
		wantCodes(t, b.client.Create(t.Context(), newPod(namespace, "signed", signed)), gate.UnknownImage)
	})
	t.Run("the other lets the image by", func(t *testing.T) {
		namespace := b.namespace(t)
		shop := b.prodGate(namespace)
		shop.Spec.ExemptImages = append(shop.Spec.ExemptImages, v1alpha1.ExemptImage{Repository: b.registry + "/bank/*"})
		b.gate(t, shop)
		bank := b.bankGate(namespace)
		bank.Spec.Action = v1alpha1.ActionWarn
		b.gate(t, bank)
		var warnings []string
		warned := b.as(t, "", &warnings)

		wantCodes(t, warned.Create(t.Context(), newPod(namespace, "signed", signed)))
		if len(warnings) != 0 {
			t.Errorf("what the Gate is content with gets the warnings %q", warnings)
		}
		both := newPod(namespace, "both", b.proven(t))
		both.Spec.Containers = append(both.Spec.Containers, corev1.Container{Name: "ledger", Image: unsigned})
		wantCodes(t, warned.Create(t.Context(), both))
		if len(warnings) != 1 || !strings.Contains(warnings[0], "NoSignature") {
			t.Errorf("a pod with an image that the Gate would deny gets the warnings %q, want one", warnings)
		}
	})
}

func TestStamps(t *testing.T) {
	b := up(t)
	namespace := b.namespace(t)
	b.gate(t, b.prodGate(namespace))
	proven := b.proven(t)

	stamped := newDeployment(namespace, proven)
	stamped.Annotations = map[string]string{v1alpha1.AnnotationEnvironment: "staging"}
	wantCodes(t, b.client.Create(t.Context(), stamped), gate.OtherStamp)

	stamped = newDeployment(namespace, proven)
	stamped.Annotations = map[string]string{v1alpha1.AnnotationEnvironment: "prod", v1alpha1.AnnotationLadder: "shop"}
	wantCodes(t, b.client.Create(t.Context(), stamped))

	stamped.Annotations[v1alpha1.AnnotationLadder] = "bank"
	wantCodes(t, b.client.Update(t.Context(), stamped), gate.OtherStamp)
}

func TestStampsOfPodTemplates(t *testing.T) {
	b := up(t)
	namespace := b.namespace(t)
	b.gate(t, b.prodGate(namespace))
	proven := b.proven(t)
	for name, test := range map[string]struct {
		own, template map[string]string
		want          []gate.Code
	}{
		"of this environment":               {nil, map[string]string{v1alpha1.AnnotationEnvironment: "prod", v1alpha1.AnnotationLadder: "shop"}, nil},
		"of another environment":            {nil, map[string]string{v1alpha1.AnnotationEnvironment: "staging"}, []gate.Code{gate.OtherStamp}},
		"of another ladder":                 {nil, map[string]string{v1alpha1.AnnotationLadder: "bank"}, []gate.Code{gate.OtherStamp}},
		"another environment than its own":  {map[string]string{v1alpha1.AnnotationEnvironment: "prod"}, map[string]string{v1alpha1.AnnotationEnvironment: "staging"}, []gate.Code{gate.OtherStamp}},
		"another ladder than its own":       {map[string]string{v1alpha1.AnnotationLadder: "shop"}, map[string]string{v1alpha1.AnnotationLadder: "bank"}, []gate.Code{gate.OtherStamp}},
		"its own is of another environment": {map[string]string{v1alpha1.AnnotationEnvironment: "staging"}, map[string]string{v1alpha1.AnnotationEnvironment: "prod"}, []gate.Code{gate.OtherStamp}},
		"the same":                          {map[string]string{v1alpha1.AnnotationEnvironment: "prod"}, map[string]string{v1alpha1.AnnotationEnvironment: "prod"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			deployment := newDeployment(namespace, proven)
			deployment.Annotations, deployment.Spec.Template.Annotations = test.own, test.template
			wantCodes(t, b.client.Create(t.Context(), deployment, client.DryRunAll), test.want...)
			cronJob := newCronJob(namespace, proven)
			cronJob.Annotations, cronJob.Spec.JobTemplate.Spec.Template.Annotations = test.own, test.template
			wantCodes(t, b.client.Create(t.Context(), cronJob, client.DryRunAll), test.want...)
		})
	}
}
