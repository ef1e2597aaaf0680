package webhook

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
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
