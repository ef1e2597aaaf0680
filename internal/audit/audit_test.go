package audit_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sigstore/sigstore/pkg/signature"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/audit"
	"github.com/envladder/envladder/internal/evidence"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/programtest"
	"github.com/envladder/envladder/internal/registry"
	"github.com/envladder/envladder/internal/registry/registrytest"
	"github.com/envladder/envladder/internal/verdict"
	"github.com/envladder/envladder/internal/workload"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func startCluster(t *testing.T) (*rest.Config, client.Client) {
	t.Helper()
	programtest.APIServer(t)
	environment := &envtest.Environment{CRDDirectoryPaths: []string{"../../manifests/crds"}, ErrorIfCRDPathMissing: true}
	config, err := environment.Start()
	t.Cleanup(func() { _ = environment.Stop() })
	check(t, err)
	scheme := runtime.NewScheme()
	check(t, clientgoscheme.AddToScheme(scheme))
	check(t, v1alpha1.AddToScheme(scheme))
	c, err := client.New(config, client.Options{Scheme: scheme})
	check(t, err)
	return config, c
}

func podSpec(images ...string) corev1.PodSpec {
	var spec corev1.PodSpec
	for i, image := range images {
		spec.Containers = append(spec.Containers, corev1.Container{Name: "c" + string(rune('0'+i)), Image: image})
	}
	return spec
}

func deployment(name string, images ...string) *appsv1.Deployment {
	labels := map[string]string{"app": name}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: podSpec(images...)},
		},
	}
}

// newException returns an Exception for an image in namespace shop.
func newException(t *testing.T, by *evidence.Signer, image string) *v1alpha1.Exception {
	t.Helper()
	repository, digest, _ := strings.Cut(image, "@")
	target, err := evidence.FindTarget(t.Context(), registry.NewClient(), repository, digest)
	check(t, err)
	end := time.Now().Add(time.Hour)
	attested, err := evidence.Attest(t.Context(), registry.NewClient(), by, target, gate.PredicateException, gate.Permission{Namespace: "shop", Reason: "incident 117", ExpiresAt: &end})
	check(t, err)
	return &v1alpha1.Exception{ObjectMeta: metav1.ObjectMeta{Name: "hotfix"}, Spec: v1alpha1.ExceptionSpec{
		Digest: digest, Namespaces: []string{"shop"}, Reason: "incident 117", ExpiresAt: metav1.NewTime(end), Bundles: [][]byte{attested.Bundle},
	}}
}

// TestAudit audits a namespace that was there before its Gate.
func TestAudit(t *testing.T) {
	config, cluster := startCluster(t)
	server := registrytest.Start(t, registrytest.WithReferrers)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	loaded, err := signature.LoadDefaultSignerVerifier(key)
	check(t, err)
	ci, err := evidence.NewSigner(loaded)
	check(t, err)
	push := func(repository string, sign bool) string {
		digest := server.Image(t, repository)
		if sign {
			target, err := evidence.FindTarget(t.Context(), registry.NewClient(), server.Name(repository), digest)
			check(t, err)
			_, err = evidence.Attest(t.Context(), registry.NewClient(), ci, target, gate.PredicateSignature, map[string]any{})
			check(t, err)
		}
		return server.Name(repository + "@" + digest)
	}
	exempt := push("shop/hotfix", false)
	signed, unsigned, recalled, other := push("shop/web", true), push("shop/api", false), push("shop/job", true), "docker.io/library/nginx:1"

	for _, name := range []string{"shop", "elsewhere"} {
		check(t, cluster.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}))
	}
	web := deployment("web", signed)
	check(t, cluster.Create(t.Context(), web))
	check(t, cluster.Create(t.Context(), deployment("api", unsigned, other)))
	check(t, cluster.Create(t.Context(), deployment("hotfix", exempt)))
	cron := &batchv1.CronJob{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "report"}, Spec: batchv1.CronJobSpec{Schedule: "* * * * *"}}
	cron.Spec.JobTemplate.Spec.Template.Spec = podSpec(recalled)
	cron.Spec.JobTemplate.Spec.Template.Spec.RestartPolicy = corev1.RestartPolicyNever
	check(t, cluster.Create(t.Context(), cron))
	old := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-old"}, Spec: appsv1.ReplicaSetSpec{
		Replicas: new(int32(0)), Selector: web.Spec.Selector, Template: web.Spec.Template,
	}}
	old.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "Deployment", Name: "web", UID: web.UID, Controller: new(true)}}
	old.Spec.Template.Spec.Containers[0].Image = server.Name("shop/left-behind:1")
	check(t, cluster.Create(t.Context(), old))
	pod := func(name, image, imageID string, phase corev1.PodPhase) {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}, Spec: podSpec(image)}
		check(t, cluster.Create(t.Context(), p))
		p.Status.Phase = phase
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "c0", Image: image, ImageID: imageID}}
		check(t, cluster.Status().Update(t.Context(), p))
	}
	pod("tagged", "docker.io/istio/proxy:1", "docker.io/istio/proxy@"+workload.DigestOf(recalled), corev1.PodRunning)
	pod("done", server.Name("shop/done:1"), "", corev1.PodSucceeded)
	stranger := deployment("stranger", unsigned)
	stranger.Namespace = "elsewhere"
	check(t, cluster.Create(t.Context(), stranger))

	g := &v1alpha1.Gate{ObjectMeta: metav1.ObjectMeta{Name: "shop-prod"}, Spec: v1alpha1.GateSpec{
		Environment: "prod", Namespaces: []string{"shop"}, Action: v1alpha1.ActionAudit,
		Images:       []v1alpha1.GateImage{{Repository: server.Name("shop/*"), Ladder: "shop"}},
		ExemptImages: []v1alpha1.ExemptImage{{Repository: "docker.io/istio/*", Tags: v1alpha1.TagsAllow}},
		Signers:      []v1alpha1.Signer{{Name: "ci", Key: &v1alpha1.KeySigner{Data: ci.PublicPEM()}}},
		Requires:     v1alpha1.Requirements{Signature: &v1alpha1.SignatureRequirement{By: []string{"ci"}}},

		Exceptions: &v1alpha1.ExceptionPolicy{By: []string{"ci"}, Count: 1},
	}}
	check(t, cluster.Create(t.Context(), g))
	check(t, cluster.Create(t.Context(), &v1alpha1.Recall{
		ObjectMeta: metav1.ObjectMeta{Name: "job"}, Spec: v1alpha1.RecallSpec{Digests: []string{workload.DigestOf(recalled)}, Reason: "loses orders"},
	}))

	check(t, cluster.Create(t.Context(), newException(t, ci, exempt)))

	asked, err := audit.NewCluster(config, workload.NewKinds())
	check(t, err)
	options := audit.Options{Judge: verdict.New(evidence.NewStore(registry.NewClient(), evidence.NewTrust(evidence.TrustOptions{}))), Now: time.Now()}
	options.Gates, err = asked.Gates(t.Context())
	check(t, err)
	options.Recalls, err = asked.Recalls(t.Context())
	check(t, err)
	options.Exceptions, err = asked.Exceptions(t.Context())
	check(t, err)
	report, err := audit.Run(t.Context(), asked, options)
	check(t, err)

	type line struct {
		Image, Objects, Codes string
		Recalled, Exempted    bool
	}
	var got []line
	for _, image := range report.Images {
		var codes []string
		for _, v := range image.Verdicts {
			for _, reason := range v.Reasons {
				codes = append(codes, string(reason.Code))
			}
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(image.Image, server.Name("")), "@")
		if image.Allowed != (len(codes) == 0) || image.Namespace != "shop" {
			t.Errorf("%+v", image)
		}
		got = append(got, line{name, strings.Join(image.Objects, " "), strings.Join(codes, " "), image.Recalled, image.Exempted() != nil})
	}
	want := []line{
		{"shop/api", "Deployment/api", "NoSignature", false, false},
		{"shop/job", "CronJob/report", "Recalled", true, false},
		{"docker.io/istio/proxy:1", "Pod/tagged", "Recalled", true, false},
		{"docker.io/library/nginx:1", "Deployment/api", "UnknownImage", false, false},
		{"shop/hotfix", "Deployment/hotfix", "", false, true},
		{"shop/web", "Deployment/web", "", false, false},
	}
	byName := cmp.Transformer("byName", func(lines []line) map[string]line {
		all := map[string]line{}
		for _, l := range lines {
			all[l.Image] = l
		}
		return all
	})
	if diff := cmp.Diff(want, got, byName); diff != "" {
		t.Errorf("the report (-want +got):\n%s", diff)
	}
	if len(got) == 0 || got[len(got)-1].Image != "shop/web" {
		t.Error("what is let in isn't last")
	}
	if !report.Denied() || len(report.Unread) != 0 {
		t.Errorf("denied: %t, unread: %v", report.Denied(), report.Unread)
	}

	t.Run("objects that are too large to be listed at once", func(t *testing.T) {
		check(t, cluster.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "large"}}))
		const objects = 10
		for i := range objects {
			large := &corev1.PodTemplate{ObjectMeta: metav1.ObjectMeta{Namespace: "large", Name: fmt.Sprintf("large-%d", i)}}
			large.Template.Spec = podSpec(signed)
			large.Template.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "LARGE", Value: strings.Repeat("x", 1_000_000)}}
			check(t, cluster.Create(t.Context(), large))
		}
		enforced := *g
		enforced.Spec.Namespaces = []string{"large"}
		options.Gates = []verdict.Gate{{Gate: &enforced}}
		images, unread, err := audit.Namespace(t.Context(), asked, options, "large")
		check(t, err)
		if len(unread) > 0 || len(images) != 1 || len(images[0].Objects) != objects || !images[0].Allowed {
			t.Errorf("found %+v, unread %v", images, unread)
		}
	})
}

// TestPolicies reads the ClusterImagePolicies that Gates name, where the cluster has the
// kind.
func TestPolicies(t *testing.T) {
	config, cluster := startCluster(t)
	named := &v1alpha1.Gate{Spec: v1alpha1.GateSpec{Requires: v1alpha1.Requirements{Signature: &v1alpha1.SignatureRequirement{ClusterImagePolicy: "corp"}}}}
	unnamed := &v1alpha1.Gate{}
	read := func(gates ...*v1alpha1.Gate) map[string]string {
		asked, err := audit.NewCluster(config, workload.NewKinds())
		check(t, err)
		var judges []verdict.Gate
		for _, g := range gates {
			judges = append(judges, verdict.Gate{Gate: g})
		}
		policies, err := asked.Policies(t.Context(), judges)
		check(t, err)
		texts := map[string]string{}
		for name, document := range policies {
			texts[name] = string(document)
		}
		return texts
	}
	if got := read(named); len(got) != 0 {
		t.Errorf("a cluster without the kind has %v", got)
	}
	names := apiextensionsv1.CustomResourceDefinitionNames{Kind: "ClusterImagePolicy", Plural: "clusterimagepolicies"}
	_, err := envtest.InstallCRDs(config, envtest.CRDInstallOptions{CRDs: []*apiextensionsv1.CustomResourceDefinition{{
		ObjectMeta: metav1.ObjectMeta{Name: "clusterimagepolicies.policy.sigstore.dev"},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: "policy.sigstore.dev", Scope: apiextensionsv1.ClusterScoped, Names: names,
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: "v1alpha1", Served: true, Storage: true,
				Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{Type: "object", XPreserveUnknownFields: new(true)}},
			}},
		},
	}}})
	check(t, err)
	for _, name := range []string{"corp", "other"} {
		policy := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "policy.sigstore.dev/v1alpha1", "kind": names.Kind, "metadata": map[string]any{"name": name},
			"spec": map[string]any{"mode": "enforce"}, "status": map[string]any{"observedGeneration": int64(1)},
		}}
		check(t, cluster.Create(t.Context(), policy))
	}
	want := map[string]string{"corp": `{"apiVersion":"policy.sigstore.dev/v1alpha1","kind":"ClusterImagePolicy","metadata":{"name":"corp"},"spec":{"mode":"enforce"}}`}
	if diff := cmp.Diff(want, read(unnamed, named, named)); diff != "" {
		t.Errorf("policies (-want +got):\n%s", diff)
	}
	if got := read(unnamed); len(got) != 0 {
		t.Errorf("a Gate that names none is given %v", got)
	}
}
