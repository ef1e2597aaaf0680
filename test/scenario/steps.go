package scenario

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/envladder/envladder/test/bed"
)

const (
	appDev     = "shop-dev"
	appStaging = "shop-staging"
	appProd    = "shop-prod-eu"
	// prodNamespace is the namespace of the shop in the prod cluster.
	prodNamespace = "shop"
	// settleBound is the maximum time that controllers in a cluster may take.
	settleBound = time.Minute
)

// buildImage builds, signs and pushes the release.
func (s *Scenario) buildImage(ctx context.Context) error {
	s.say.Explain("The image is pushed once. From here on its digest climbs the ladder.")
	var err error
	if s.release, err = s.push(ctx, "1.4.2", "built by CI from commit 9f2c1e7"); err != nil {
		return err
	}
	if err := s.define("WEB", s.release.Ref()); err != nil {
		return err
	}
	s.say.Explain("CI signs the digest with its key and attaches an SBOM.")
	if err := s.signAndAttachSBOM(ctx, s.release); err != nil {
		return err
	}
	_, err = s.show(ctx, "cosign", "tree", s.release.Ref())
	return err
}

// push pushes an image and shows its digest.
func (s *Scenario) push(ctx context.Context, tag, content string) (image, error) {
	pushed, err := s.bed.Registry("main").Push(ctx, "shop/web", tag, content)
	if err != nil {
		return image{}, err
	}
	s.say.Output(fmt.Sprintf("pushed %s:%s\n       %s", pushed.Repository, tag, pushed.Digest))
	return image{Pushed: pushed, tag: tag}, nil
}

// cosign runs and shows a command of cosign with the key of CI.
func (s *Scenario) cosign(ctx context.Context, verb string, i image, more ...string) (string, error) {
	args := append([]string{verb, "--key", "keys/ci.key"}, more...)
	return s.show(ctx, "cosign", append(args, i.Ref())...)
}

// exampleLadder is the folder of the example's ladder, relative to the shell's.
const exampleLadder = "examples/shop/gitops/shop"

// showRendering shows what the environments render. It needs no program but envladder.
func (s *Scenario) showRendering(ctx context.Context) error {
	s.say.Explain("A ladder names one chart, the environments in order, and the layers of each.")
	if _, err := s.show(ctx, "envladder", "lint", "-C", exampleLadder); err != nil {
		return err
	}
	s.say.Explain("Only values differ:")
	out, err := s.showDiff(ctx, fmt.Sprintf("diff -U1 --label staging --label prod/eu <(envladder values staging -C %[1]s) <(envladder values prod --target eu -C %[1]s)", exampleLadder))
	if err != nil {
		return err
	}
	if !strings.Contains(out, "+  host: shop.eu.example.com") {
		return fmt.Errorf("values of prod's layer are missing in prod's values:\n%s", out)
	}
	s.say.Explain("Each value has one origin, and the layers that it overrides are listed:")
	_, err = s.show(ctx, "envladder", "values", "prod", "--target", "eu", "-C", exampleLadder, "--explain", "database")
	return err
}

// deployLower deploys the release to dev and staging.
func (s *Scenario) deployLower(ctx context.Context) error {
	s.say.Explain("Argo CD renders with envladder's plugin. An Application only names the environment and the target:")
	if _, err := s.show(ctx, "sed", "-n", "/^spec/,/namespace/p", "platform/applications/"+appProd+".yaml"); err != nil {
		return err
	}
	s.say.Explain("A commit pins the digest in dev and staging.")
	commit, err := s.pin(ctx, s.release, "Pin web 1.4.2 in dev and staging", "dev", "staging")
	if err != nil {
		return err
	}
	for _, app := range []string{appDev, appStaging} {
		if err := s.applyApplication(ctx, app); err != nil {
			return err
		}
	}
	for _, app := range []string{appDev, appStaging} {
		if err := s.awaitHealthy(ctx, app, commit); err != nil {
			return err
		}
	}
	if _, err := s.show(ctx, "kubectl", "--context", bed.Staging, "-n", "argocd", "get", "applications"); err != nil {
		return err
	}
	out, err := s.show(ctx, "kubectl", "--context", bed.Staging, "get", "pods", "-A", "-l", "app.kubernetes.io/name=shop",
		"-o", "custom-columns=NAMESPACE:.metadata.namespace,POD:.metadata.name,READY:.status.containerStatuses[0].ready,IMAGE-ID:.status.containerStatuses[0].imageID")
	if err != nil {
		return err
	}
	for _, namespace := range []string{"shop-dev", "shop-staging"} {
		if !slices.ContainsFunc(strings.Split(out, "\n"), func(line string) bool {
			return strings.HasPrefix(line, namespace) && strings.Contains(line, s.release.Digest)
		}) {
			return fmt.Errorf("no pod in namespace %s runs %s", namespace, s.release.Digest)
		}
	}
	return nil
}

// pin writes a digest to pins files, commits and pushes.
func (s *Scenario) pin(ctx context.Context, i image, message string, pins ...string) (commit string, err error) {
	for _, name := range pins {
		path := filepath.Join(s.dir, "gitops", "shop", "pins", name+".yaml")
		data, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		lines := strings.Split(string(data), "\n")
		at := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "  web: ") })
		if at < 0 {
			return "", fmt.Errorf("pinning in %s: no line for image web", path)
		}
		lines[at] = "  web: " + i.Digest
		if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
			return "", err
		}
	}
	return s.gitops.commit(ctx, message)
}

// denyUnsigned checks that prod denies an unsigned digest.
func (s *Scenario) denyUnsigned(ctx context.Context) error {
	s.say.Explain("A user builds a fix on a laptop, pushes it, and pins it in prod.")
	var err error
	if s.laptop, err = s.push(ctx, "1.4.3-hotfix", "built on a laptop"); err != nil {
		return err
	}
	if err := s.define("HOTFIX", s.laptop.Ref()); err != nil {
		return err
	}
	commit, err := s.pin(ctx, s.laptop, "Pin the hotfix in prod", "eu")
	if err != nil {
		return err
	}
	if err := s.applyApplication(ctx, appProd); err != nil {
		return err
	}
	s.say.Explain("Argo CD applies it, and prod's API server denies it. The reasons are in the Application's status.")
	if err := s.awaitDenied(ctx, commit, "NoSignature", "NoSBOM", "NoSoak", "NoTest", "NoApproval"); err != nil {
		return err
	}
	if err := s.showDenial(ctx); err != nil {
		return err
	}
	return s.checkNothingRuns(ctx)
}

// showDenial shows the last operation of the prod Application.
func (s *Scenario) showDenial(ctx context.Context) error {
	_, err := s.show(ctx, "kubectl", "--context", bed.Staging, "-n", "argocd", "get", "application", appProd,
		"-o", `jsonpath={.status.operationState.phase}{": "}{.status.operationState.message}{"\n"}`)
	return err
}

// checkNothingRuns returns an error if prod has a workload or a pod.
func (s *Scenario) checkNothingRuns(ctx context.Context) error {
	out, err := s.show(ctx, "kubectl", "--context", bed.Prod, "-n", prodNamespace, "get", "deployments,replicasets,pods")
	if err != nil {
		return err
	}
	if !strings.Contains(out, "No resources found") {
		return fmt.Errorf("namespace %s has denied workloads:\n%s", prodNamespace, out)
	}
	return nil
}

// denyUnsoaked checks that prod denies a digest without a sufficient soak.
func (s *Scenario) denyUnsoaked(ctx context.Context) error {
	s.say.Explain("Next is the digest that CI built and signed. It has been healthy in staging for 6h12m; prod's Gate requires 24h.")
	if err := s.attestSoak(ctx, 6*time.Hour+12*time.Minute); err != nil {
		return err
	}
	commit, err := s.pin(ctx, s.release, "Pin web 1.4.2 in prod", "eu")
	if err != nil {
		return err
	}
	if err := s.refresh(ctx, appProd); err != nil {
		return err
	}
	if err := s.awaitDenied(ctx, commit, "SoakTooShort", "24h", "6h12m"); err != nil {
		return err
	}
	if err := s.showDenial(ctx); err != nil {
		return err
	}
	s.say.Explain("The command line evaluates the same Gate and returns the same verdict.")
	if err := s.checkVerdict(ctx, s.release, "NoApproval", "NoTest", "SoakTooShort"); err != nil {
		return err
	}
	return s.checkNothingRuns(ctx)
}

// attestSoak signs a soak that ends now, as the observer of staging does.
func (s *Scenario) attestSoak(ctx context.Context, healthy time.Duration) error {
	now := time.Now().UTC().Truncate(time.Second)
	_, err := s.show(ctx, "envladder", "attest", "soak", "--key", "keys/staging-observer.key",
		"--ladder", "shop", "--environment", "staging", "--namespace", "shop-staging",
		"--from", now.Add(-healthy).Format(time.RFC3339), "--to", now.Format(time.RFC3339),
		"--healthy", healthy.String(), s.release.Ref())
	return err
}

// checkVerdict shows the output of `envladder verify` and checks its codes. Without codes it
// checks that the verdict is allowed.
func (s *Scenario) checkVerdict(ctx context.Context, i image, codes ...string) error {
	args := []string{"verify", i.Ref(), "--gate", gateFile}
	run := s.show
	if len(codes) > 0 {
		run = s.showFailing
	}
	if _, err := run(ctx, "envladder", args...); err != nil {
		return err
	}
	out, err := s.run(ctx, "envladder", append(args, "-o", "json")...)
	if err != nil && len(codes) == 0 {
		return err
	}
	var verdict struct {
		Allowed bool `json:"allowed"`
		Reasons []struct {
			Code string `json:"code"`
		} `json:"reasons"`
	}
	if err := json.Unmarshal([]byte(out), &verdict); err != nil {
		return fmt.Errorf("reading the verdict %q: %w", out, err)
	}
	var got []string
	for _, reason := range verdict.Reasons {
		got = append(got, reason.Code)
	}
	slices.Sort(got)
	if got = slices.Compact(got); verdict.Allowed != (len(codes) == 0) || !slices.Equal(got, codes) {
		return fmt.Errorf("the verdict on %s is allowed=%t with reasons %v, want reasons %v", i.Ref(), verdict.Allowed, got, codes)
	}
	return nil
}

// syncProven completes the proof and checks that the sync succeeds.
func (s *Scenario) syncProven(ctx context.Context) error {
	s.say.Explain("A day later the soak is complete, the tests have passed, and a manager approves. Each attestation is signed with its own key and stored next to the image.")
	if err := s.attestSoak(ctx, 25*time.Hour); err != nil {
		return err
	}
	for _, suite := range []string{"e2e", "load"} {
		if err := s.attestSuite(ctx, suite); err != nil {
			return err
		}
	}
	if err := s.approve(ctx); err != nil {
		return err
	}
	if err := s.checkVerdict(ctx, s.release); err != nil {
		return err
	}
	if err := s.syncAgain(ctx); err != nil {
		return err
	}
	head, err := s.gitops.git(ctx, "rev-parse", "HEAD")
	if err != nil {
		return err
	}
	if err := s.awaitHealthy(ctx, appProd, strings.TrimSpace(head)); err != nil {
		return err
	}
	if _, err := s.show(ctx, "kubectl", "--context", bed.Staging, "-n", "argocd", "get", "applications"); err != nil {
		return err
	}
	_, err = s.show(ctx, "kubectl", "--context", bed.Prod, "-n", prodNamespace, "get", "pods")
	return err
}

// syncAgain syncs the denied commit again. Argo CD 3 retries automatically; 2.14 stops after its
// last retry, unless the proof existed before.
func (s *Scenario) syncAgain(ctx context.Context) error {
	if s.options.ArgoCD == "v3" {
		s.say.Explain("Nothing changes in Git, and no one starts a sync. Argo CD retries the commit that was denied.")
		return nil
	}
	if err := s.await(ctx, appProd, "finished with its retries", func(a application) bool { return a.phase != "Running" }); err != nil {
		return err
	}
	s.say.Explain("Nothing changes in Git. The commit that was denied is synced again by hand, because Argo CD 2.14 has stopped retrying it.")
	_, err := s.show(ctx, "argocd", "app", "sync", appProd)
	return err
}

// denyRecalled recalls the digest and checks that no pod starts with it.
func (s *Scenario) denyRecalled(ctx context.Context) error {
	s.say.Explain("The digest turns out to be harmful. A Recall forbids it, whatever else is proven.")
	recall := fmt.Sprintf("apiVersion: envladder.dev/v1alpha1\nkind: Recall\nmetadata: {name: web-1-4-2}\nspec:\n  digests: [%q]\n  reason: loses orders, see incident 117\n", s.release.Digest)
	if err := os.WriteFile(filepath.Join(s.dir, "recall.yaml"), []byte(recall), 0o644); err != nil {
		return err
	}
	if _, err := s.show(ctx, "kubectl", "--context", bed.Prod, "apply", "-f", "recall.yaml"); err != nil {
		return err
	}
	s.say.Explain("Running pods keep running. New pods are denied: a pod is deleted, and its ReplicaSet can't replace it.")
	pods, err := s.bed.Cluster(bed.Prod).Client().CoreV1().Pods(prodNamespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	if len(pods.Items) == 0 {
		return fmt.Errorf("no pod to delete in namespace %s", prodNamespace)
	}
	if _, err := s.show(ctx, "kubectl", "--context", bed.Prod, "-n", prodNamespace, "delete", "pod", pods.Items[0].Name); err != nil {
		return err
	}
	if err := s.awaitEvent(ctx, "Recalled"); err != nil {
		return err
	}
	_, err = s.show(ctx, "kubectl", "--context", bed.Prod, "-n", prodNamespace, "get", "events", "--field-selector", "reason=FailedCreate", "-o", "custom-columns=OBJECT:.involvedObject.name,MESSAGE:.message")
	return err
}

// awaitEvent waits until a ReplicaSet of prod reports that it can't create a pod for a reason
// with the code.
func (s *Scenario) awaitEvent(ctx context.Context, code string) error {
	return bed.Poll(ctx, settleBound, func(ctx context.Context) error {
		events, err := s.bed.Cluster(bed.Prod).Client().CoreV1().Events(prodNamespace).List(ctx, metav1.ListOptions{FieldSelector: "reason=FailedCreate"})
		if err != nil {
			return err
		}
		for _, event := range events.Items {
			if strings.Contains(event.Message, code) {
				return nil
			}
		}
		return fmt.Errorf("none of %d events FailedCreate contains %s", len(events.Items), code)
	})
}

// denyRebuilt checks that prod denies an image that was rebuilt under the same tag.
func (s *Scenario) denyRebuilt(ctx context.Context) error {
	s.say.Explain("The image is rebuilt and pushed under the same tag. A tag proves nothing. The image is denied by tag, and also by its new digest, which isn't signed.")
	var err error
	if s.rebuilt, err = s.push(ctx, s.release.tag, "built again from commit 9f2c1e7"); err != nil {
		return err
	}
	byTag := s.rebuilt.Repository + ":" + s.rebuilt.tag
	for _, try := range []struct{ reference, code string }{
		{byTag, "NoDigest"},
		{byTag + "@" + s.rebuilt.Digest, "NoSignature"},
	} {
		out, err := s.showFailing(ctx, "kubectl", "--context", bed.Prod, "-n", prodNamespace, "run", "rebuilt", "--image", try.reference)
		if err != nil {
			return err
		}
		if !strings.Contains(out, try.code) {
			return fmt.Errorf("denied, but not for %s:\n%s", try.code, out)
		}
	}
	return nil
}

// sbom is the result of CI's scanner for the image.
const sbom = `{
  "spdxVersion": "SPDX-2.3",
  "dataLicense": "CC0-1.0",
  "SPDXID": "SPDXRef-DOCUMENT",
  "name": "shop/web",
  "documentNamespace": "https://example.com/spdx/shop-web-1.4.2",
  "creationInfo": {"created": "2026-01-01T00:00:00Z", "creators": ["Organization: shop"]},
  "packages": [{"SPDXID": "SPDXRef-web", "name": "web", "versionInfo": "1.4.2", "downloadLocation": "NOASSERTION"}]
}
`
