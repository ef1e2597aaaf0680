package main

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/cert"
	"sigs.k8s.io/yaml"
)

// TestGuard tests every entry of files/guard.yaml with the manifests of only one part, since
// staging has the observer without the webhook.
func TestGuard(t *testing.T) {
	for _, part := range []string{"webhook", "observer"} {
		t.Run(part, func(t *testing.T) {
			cluster := startGuarded(t, readPart(t, part))
			list := readGuard(t)
			t.Run("Argo CD's account is denied every entry of the list", func(t *testing.T) {
				cluster.tryAll(t, clusterPolicy, list.Cluster)
				cluster.tryAll(t, namespacePolicy, list.Namespace)
			})
			t.Run("Kubernetes, nodes and the parts may write what they need", cluster.tryWriters)
			t.Run("everything else is admitted", cluster.tryOthers)
		})
	}
}

// TestGuardAccounts tests the accounts in the chart's values.
func TestGuardAccounts(t *testing.T) {
	manifests, err := renderWith(t, `
crds: {install: false}
image: {registry: registry.example.com/platform}
guard:
  admins: {users: [ana], groups: ["system:masters"], serviceAccounts: [envladder-platform/gates]}
  namespace: {writers: [calico-system/calico-node]}
webhook: {enabled: true, enforce: [shop], tls: {certManager: {enabled: true, issuerRef: {kind: Issuer, name: ca}}}}
appset: {enabled: true, tokenSecret: token, ladders: [{name: shop, configMap: shops-ladder}]}
`)
	if err != nil {
		t.Fatal(err)
	}
	objects := parse(t, "{apiVersion: v1, kind: Namespace, metadata: {name: envladder}}\n---\n{apiVersion: v1, kind: Namespace, metadata: {name: envladder-platform}}\n")
	for _, m := range manifests {
		for _, object := range parse(t, m.Content) {
			if strings.HasPrefix(object.GetKind(), "ValidatingAdmissionPolicy") {
				objects = append(objects, object)
			}
		}
	}
	c := startGuarded(t, objects)
	var (
		platform    = serviceAccount("envladder-platform", "gates")
		certManager = serviceAccount("cert-manager", "cert-manager")
		injector    = serviceAccount("cert-manager", "cert-manager-cainjector")
		network     = serviceAccount("calico-system", "calico-node")
	)
	const (
		gate   = `{apiVersion: envladder.dev/v1alpha1, kind: Gate, metadata: {name: a}, spec: {environment: prod, namespaces: [a], observe: {attestAfter: [1h]}}}`
		pod    = `{apiVersion: v1, kind: Pod, metadata: {namespace: envladder-platform, name: a}, spec: {serviceAccountName: gates, containers: [{name: a, image: a}]}}`
		secret = `{apiVersion: v1, kind: Secret, metadata: {namespace: envladder, name: NAME}}`
		ladder = `{apiVersion: v1, kind: ConfigMap, metadata: {namespace: envladder, name: shops-ladder}}`
	)
	named := func(text, name string) string { return strings.Replace(text, "NAME", name, 1) }
	for name, test := range map[string]struct {
		account account
		object  string
		policy  string // that denies it; empty if it is admitted
	}{
		"an admin creates a Gate":                                   {account{"ana", nil}, gate, ""},
		"a service account that is an admin creates a Gate":         {platform, gate, ""},
		"a default admin group is denied if values replace it":      {account{"bo", []string{"kubeadm:cluster-admins"}}, gate, clusterPolicy},
		"Argo CD can't start a pod in an admin's namespace":         {argoCD, pod, namespacePolicy},
		"cert-manager can't write in an admin's namespace":          {certManager, strings.Replace(named(secret, "envladder-webhook-tls"), "envladder,", "envladder-platform,", 1), namespacePolicy},
		"another account of an admin's namespace starts a pod":      {serviceAccount("envladder-platform", "other"), pod, ""},
		"a controller starts a pod in an admin's namespace":         {controller("replicaset-controller"), pod, ""},
		"the observer can't write Secrets in envladder's namespace": {observerAccount, named(secret, "a"), namespacePolicy},
		"cert-manager writes the certificate":                       {certManager, named(secret, "envladder-webhook-tls"), ""},
		"cert-manager writes the next key":                          {certManager, named(secret, "envladder-webhook-x7k2p"), ""},
		"cert-manager can't write the evidence cache's key":         {certManager, named(secret, "envladder-webhook-evidence-cache"), namespacePolicy},
		"cert-manager can't write the observer's key":               {certManager, named(secret, "envladder-observer-key"), namespacePolicy},
		"the injector can't write Secrets":                          {injector, named(secret, "envladder-webhook-tls"), namespacePolicy},
		"a network in guard.namespace.writers writes":               {network, named(secret, "a"), ""},
		"another account of the network's namespace can't write":    {serviceAccount("calico-system", "other"), named(secret, "a"), namespacePolicy},
		"Argo CD writes the generator's ladder":                     {argoCD, ladder, ""},
		"Argo CD can't write other ConfigMaps":                      {argoCD, strings.Replace(ladder, "shops-ladder", "trusted-roots", 1), namespacePolicy},
		"Argo CD can't write the webhook's certificate":             {argoCD, named(secret, "envladder-webhook-tls"), namespacePolicy},
	} {
		t.Run(name, func(t *testing.T) {
			object := parse(t, test.object)[0]
			resource, err := c.resourceOf(object)
			if err != nil {
				t.Fatal(err)
			}
			err = attempts(t, &sample{resource, object}, "")["CREATE"](c.requesterFor(t, test.account))
			if test.policy == "" && err != nil || test.policy != "" && !deniedBy(err, test.policy) {
				t.Errorf("error %v, want a denial by %q", err, test.policy)
			}
		})
	}
	configuration := c.sample(t, guardRule{Group: "admissionregistration.k8s.io"}, "validatingwebhookconfigurations")[0]
	if err := attempts(t, configuration, "")["UPDATE"](c.requesterFor(t, injector)); err != nil {
		t.Errorf("the injector can't write the webhook's configuration: %v", err)
	}
	if err := attempts(t, configuration, "")["UPDATE"](c.requesterFor(t, webhookAccount)); !deniedBy(err, clusterPolicy) {
		t.Errorf("the webhook may write its configuration although cert-manager creates its certificate: %v", err)
	}
}

// TestGuardList checks that the list has every kind that envladder defines.
func TestGuardList(t *testing.T) {
	listed := map[string]bool{}
	list := readGuard(t)
	for _, entry := range slices.Concat(list.Cluster, list.Namespace) {
		for _, rule := range entry.Rules {
			for _, resource := range rule.Resources {
				listed[rule.Group+"/"+resource] = true
			}
		}
	}
	files, err := filepath.Glob("../../manifests/crds/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("finding the CRDs: %v", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var crd apiextensionsv1.CustomResourceDefinition
		if err := yaml.Unmarshal(data, &crd); err != nil {
			t.Fatal(err)
		}
		want := []string{crd.Spec.Names.Plural}
		if sub := crd.Spec.Versions[0].Subresources; sub != nil && sub.Status != nil {
			want = append(want, crd.Spec.Names.Plural+"/status")
		}
		for _, resource := range want {
			if !listed[crd.Spec.Group+"/"+resource] {
				t.Errorf("%s lacks %s of group %s", guardFile, resource, crd.Spec.Group)
			}
		}
	}
}

// readPart returns the objects of a part's manifest.
func readPart(t *testing.T, part string) []*unstructured.Unstructured {
	t.Helper()
	data, err := os.ReadFile("../../manifests/" + part + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	// The webhook's configuration would send requests to a webhook that doesn't run.
	return slices.DeleteFunc(parse(t, string(data)), func(o *unstructured.Unstructured) bool { return o.GetKind() == "ValidatingWebhookConfiguration" })
}

// tryAll checks that the policy denies each entry to Argo CD's account, and admits it for an
// admin.
func (c *guardedCluster) tryAll(t *testing.T, policy string, entries []guardEntry) {
	t.Helper()
	deployer, admin := c.requesterFor(t, argoCD), c.requesterFor(t, ana)
	for _, entry := range entries {
		for _, rule := range entry.Rules {
			for _, resource := range rule.Resources {
				for _, s := range c.sample(t, rule, resource) {
					_, sub, _ := strings.Cut(resource, "/")
					for operation, attempt := range attempts(t, s, strings.TrimSuffix("/"+sub, "/")) {
						verb, _, collection := strings.Cut(operation, " ")
						if len(rule.Operations) > 0 && !slices.Contains(rule.Operations, verb) {
							continue
						}
						t.Run(operation+" "+resource+" "+s.object.GetName(), func(t *testing.T) {
							if err := attempt(deployer); !deniedBy(err, policy) {
								t.Errorf("policy %q doesn't deny Argo CD's account: %v", policy, err)
							}
							if collection {
								return
							}
							if err := attempt(admin); err != nil && (apierrors.IsForbidden(err) || verb != "CONNECT") {
								t.Errorf("an admin is denied: %v", err)
							}
						})
					}
				}
			}
		}
	}
}

// controller returns the account of one of Kubernetes' controllers, as
// kube-controller-manager uses them with --use-service-account-credentials.
func controller(name string) account { return serviceAccount("kube-system", name) }

var (
	controllerManager = account{"system:kube-controller-manager", nil}
	node              = account{"system:node:worker", []string{"system:nodes"}}
	webhookAccount    = serviceAccount("envladder", "envladder-webhook")
	observerAccount   = serviceAccount("envladder", "envladder-observer")
	policyController  = serviceAccount("cosign-system", "policy-controller-webhook")
)

// tryWriters checks that the policies admit the accounts that must write.
func (c *guardedCluster) tryWriters(t *testing.T) {
	const all = "CREATE UPDATE DELETE"
	for _, test := range []struct {
		account                     account
		operations, group, resource string
	}{
		{controller("deployment-controller"), all, "apps", "replicasets"},
		{controller("deployment-controller"), "UPDATE", "apps", "deployments"},
		{controller("replicaset-controller"), "CREATE DELETE", "", "pods"},
		{controller("horizontal-pod-autoscaler"), "UPDATE", "apps", "deployments/scale"},
		{controller("endpointslice-controller"), all, "discovery.k8s.io", "endpointslices"},
		{controller("endpoint-controller"), all, "", "endpoints"},
		{controller("root-ca-cert-publisher"), "CREATE UPDATE", "", "configmaps"},
		{controller("service-account-controller"), "CREATE", "", "serviceaccounts"},
		{controller("generic-garbage-collector"), "DELETE", "apps", "replicasets"},
		{controller("namespace-controller"), "DELETE", "", "secrets"},
		{controller("namespace-controller"), "DELETE", "envladder.dev", "soaks"},
		{controller("namespace-controller"), "UPDATE", "", "namespaces/finalize"},
		{controllerManager, all, "", "pods"},
		{controllerManager, all, "apps", "replicasets"},
		{controllerManager, all, "discovery.k8s.io", "endpointslices"},
		{controllerManager, "CREATE", "", "serviceaccounts/token"},
		{controllerManager, "DELETE", "envladder.dev", "soaks"},
		{controllerManager, "UPDATE", "", "namespaces/finalize"},
		{account{"system:kube-scheduler", nil}, "UPDATE", "", "pods/status"},
		{account{"system:apiserver", nil}, all, "apiregistration.k8s.io", "apiservices"},
		{account{"system:apiserver", nil}, "UPDATE", "apiextensions.k8s.io", "customresourcedefinitions/status"},
		{node, "UPDATE", "", "pods/status"},
		{node, "DELETE", "", "pods"},
		{node, "CREATE", "", "serviceaccounts/token"},
		{webhookAccount, "UPDATE", "envladder.dev", "gates/status"},
		{webhookAccount, all, "envladder.dev", "evidencecaches"},
		{observerAccount, all, "envladder.dev", "soaks"},
		{observerAccount, "UPDATE", "envladder.dev", "soaks/status"},
		{observerAccount, "CREATE UPDATE", "coordination.k8s.io", "leases"},
	} {
		_, sub, _ := strings.Cut(test.resource, "/")
		for _, s := range c.sample(t, guardRule{Group: test.group}, test.resource) {
			for operation := range strings.FieldsSeq(test.operations) {
				t.Run(test.account.user+" "+operation+" "+test.resource, func(t *testing.T) {
					if err := attempts(t, s, strings.TrimSuffix("/"+sub, "/"))[operation](c.requesterFor(t, test.account)); err != nil {
						t.Error(err)
					}
				})
			}
		}
	}
	t.Run("policy-controller renews the CA of its conversion webhook and changes nothing else", func(t *testing.T) {
		crd := c.sample(t, guardRule{Group: "apiextensions.k8s.io"}, "customresourcedefinitions")[1]
		patch := func(text string) error {
			_, err := c.requesterFor(t, policyController).client(crd).Patch(t.Context(), crd.object.GetName(), types.MergePatchType, []byte(text), metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}})
			return err
		}
		ca, _, err := cert.GenerateSelfSignedCertKey("webhook.cosign-system.svc", nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := patch(`{"spec":{"conversion":{"webhook":{"clientConfig":{"caBundle":"` + base64.StdEncoding.EncodeToString(ca) + `"}}}}}`); err != nil {
			t.Errorf("policy-controller can't renew the CA: %v", err)
		}
		if err := patch(`{"spec":{"conversion":{"webhook":{"clientConfig":{"service":{"name":"other"}}}}}}`); !deniedBy(err, clusterPolicy) {
			t.Errorf("policy-controller may set another conversion webhook: %v", err)
		}
	})
	t.Run("other accounts can't annotate envladder's namespace", func(t *testing.T) {
		s := c.sample(t, guardRule{}, "namespaces")[0]
		_, err := c.requesterFor(t, argoCD).client(s).Patch(t.Context(), s.object.GetName(), types.MergePatchType, []byte(`{"metadata":{"annotations":{"linkerd.io/inject":"enabled"}}}`), metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}})
		if !deniedBy(err, clusterPolicy) {
			t.Error(err)
		}
	})
	t.Run("a part's account can't write objects of another part", func(t *testing.T) {
		for _, test := range []struct {
			account         account
			group, resource string
			policy          string
		}{
			{webhookAccount, "", "configmaps", namespacePolicy},
			{webhookAccount, "envladder.dev", "soaks", clusterPolicy},
			{observerAccount, "envladder.dev", "evidencecaches", namespacePolicy},
			{observerAccount, "envladder.dev", "gates", clusterPolicy},
			{node, "", "secrets", namespacePolicy},
			{node, "apps", "deployments", namespacePolicy},
		} {
			s := c.sample(t, guardRule{Group: test.group}, test.resource)[0]
			if err := attempts(t, s, "")["UPDATE"](c.requesterFor(t, test.account)); !deniedBy(err, test.policy) {
				t.Errorf("%s may write %s: %v", test.account.user, test.resource, err)
			}
		}
	})
}

// tryOthers checks that the policies admit everything that no verdict depends on.
func (c *guardedCluster) tryOthers(t *testing.T) {
	deployer, dry := c.requesterFor(t, argoCD), []string{metav1.DryRunAll}
	for name, text := range map[string]string{
		"another webhook configuration":         `{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingWebhookConfiguration, metadata: {name: other}}`,
		"another namespace":                     `{apiVersion: v1, kind: Namespace, metadata: {name: shop}}`,
		"another role":                          `{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: other}}`,
		"an aggregated API":                     `{apiVersion: apiregistration.k8s.io/v1, kind: APIService, metadata: {name: v1beta1.metrics.k8s.io}, spec: {group: metrics.k8s.io, version: v1beta1, groupPriorityMinimum: 100, versionPriority: 100, insecureSkipTLSVerify: true, service: {namespace: kube-system, name: metrics-server}}}`,
		"another CRD":                           `{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: crews.example.com}, spec: {group: example.com, names: {kind: Crew, plural: crews}, scope: Cluster, versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]}}`,
		"a Secret of another namespace":         `{apiVersion: v1, kind: Secret, metadata: {name: a, namespace: default}}`,
		"a pod of another namespace":            `{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: default}, spec: {containers: [{name: a, image: a}]}}`,
		"a ladder":                              `{apiVersion: v1, kind: ConfigMap, metadata: {name: ladder-shop, namespace: envladder}}`,
		"an Event of envladder's own namespace": `{apiVersion: v1, kind: Event, metadata: {name: a, namespace: envladder}, involvedObject: {namespace: envladder}}`,
	} {
		t.Run(name, func(t *testing.T) {
			object := parse(t, text)[0]
			resource, err := c.resourceOf(object)
			if err != nil {
				t.Fatal(err)
			}
			s := &sample{resource, object}
			if _, err := deployer.client(s).Create(t.Context(), object, metav1.CreateOptions{}); err != nil {
				t.Errorf("creating the object: %v", err)
			}
			if err := attempts(t, s, "")["UPDATE"](deployer); err != nil {
				t.Errorf("updating the object: %v", err)
			}
			if err := deployer.client(s).Delete(t.Context(), object.GetName(), metav1.DeleteOptions{}); err != nil {
				t.Errorf("deleting the object: %v", err)
			}
		})
	}
	annotate := []byte(`{"metadata":{"annotations":{"example.com/ip":"10.1.2.3"}}}`)
	for name, test := range map[string]struct {
		group, resource string
		do              func(s *sample) error
	}{
		"a network annotates a pod": {"", "pods", func(s *sample) error {
			_, err := deployer.client(s).Patch(t.Context(), s.object.GetName(), types.MergePatchType, annotate, metav1.PatchOptions{DryRun: dry})
			return err
		}},
		"a network annotates a pod by its status": {"", "pods", func(s *sample) error {
			_, err := deployer.client(s).Patch(t.Context(), s.object.GetName(), types.MergePatchType, annotate, metav1.PatchOptions{DryRun: dry}, "status")
			return err
		}},
		"a pod is deleted": {"", "pods", func(s *sample) error { return attempts(t, s, "")["DELETE"](deployer) }},
		"a pod is evicted": {"", "pods", func(s *sample) error {
			eviction := parse(t, `{apiVersion: policy/v1, kind: Eviction, metadata: {name: `+s.object.GetName()+`}}`)[0]
			_, err := deployer.client(s).Create(t.Context(), eviction, metav1.CreateOptions{DryRun: dry}, "eviction")
			if apierrors.IsTooManyRequests(err) {
				return nil // denied by its PodDisruptionBudget, after admission
			}
			return err
		}},
		"policy-controller adds a finalizer": {"policy.sigstore.dev", "clusterimagepolicies", func(s *sample) error {
			_, err := c.requesterFor(t, policyController).client(s).Patch(t.Context(), s.object.GetName(), types.MergePatchType, []byte(`{"metadata":{"finalizers":["example.com/a"]}}`), metav1.PatchOptions{DryRun: dry})
			return err
		}},
		"policy-controller writes a status": {"policy.sigstore.dev", "clusterimagepolicies", func(s *sample) error {
			_, err := c.requesterFor(t, policyController).client(s).Patch(t.Context(), s.object.GetName(), types.MergePatchType, []byte(`{"status":{"observedGeneration":1}}`), metav1.PatchOptions{DryRun: dry}, "status")
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			if err := test.do(c.sample(t, guardRule{Group: test.group}, test.resource)[0]); err != nil {
				t.Error(err)
			}
		})
	}
}
