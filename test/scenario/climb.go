package scenario

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/envladder/envladder/test/bed"
)

// soakTime is the soak that prod's Gate requires in this story, instead of a day.
const soakTime = 10 * time.Second

// climb is the state of story Climb.
type climb struct {
	previews, previewsToken string

	source *checkout // the service's source code
	before image     // the image that prod runs at the start of the story
	pull   int       // the pull request's number
	// untouched is the state of prod before a denied sync.
	untouched prodState
}

// climbSteps returns the steps of story Climb.
func (s *Scenario) climbSteps() []Step {
	return []Step{
		{"one chart, layered values", nil, s.showRendering},
		{"release 1.4.1 is built once and proven", s.startRegistry, s.provePrevious},
		{"every environment runs 1.4.1", s.startClusters, s.deployPrevious},
		{"a pull request gets its own environment", nil, s.openPreview},
		{"after the merge the preview is removed, and CI builds the image once", nil, s.mergeSource},
		{"promotion to dev by commit", nil, s.promoteDev},
		{"promotion to staging by pull request", nil, s.promoteStaging},
		{"a promotion to prod without proof is refused", nil, s.promoteUnproven},
		{"the cluster denies a merge without proof, and nothing is partially applied", nil, s.mergeUnproven},
		{"a newer commit replaces the denied one", nil, s.syncNewerCommit},
		{"the sync succeeds once the proof is complete", nil, s.completeProof},
		{"status of the ladder", nil, s.showStatus},
		{"rollback to the previous digest", nil, s.rollBack},
	}
}

// provePrevious pushes an earlier release and attests everything that prod's Gate requires.
func (s *Scenario) provePrevious(ctx context.Context) error {
	s.say.Explain("CI builds the image once, signs its digest and attaches an SBOM. The soak, the tests and an approval are attestations of the same digest, each signed by its own key and stored next to the image.")
	var err error
	if s.climb.before, err = s.push(ctx, "1.4.1", "built by CI from commit 41c0ffe"); err != nil {
		return err
	}
	if err := s.define("OLD", s.climb.before.Ref()); err != nil {
		return err
	}
	s.release = s.climb.before
	if err := s.signAndAttachSBOM(ctx, s.release); err != nil {
		return err
	}
	if err := s.attestSoak(ctx, 25*time.Hour); err != nil {
		return err
	}
	for _, suite := range []string{"e2e", "load"} {
		if err := s.attestSuite(ctx, suite); err != nil {
			return err
		}
	}
	return s.approve(ctx)
}

// deployPrevious deploys the proven release to every environment.
func (s *Scenario) deployPrevious(ctx context.Context) error {
	s.say.Explain("`envladder pin` writes one value in one file.")
	for _, target := range [][]string{{"dev"}, {"staging"}, {"prod", "--target", "eu"}, {"prod", "--target", "us"}} {
		args := append(append([]string{"pin"}, target...), "web@"+s.release.Digest, "-C", "gitops/shop")
		if _, err := s.show(ctx, "envladder", args...); err != nil {
			return err
		}
	}
	commit, err := s.gitops.commit(ctx, "Pin web 1.4.1")
	if err != nil {
		return err
	}
	for _, app := range []string{appDev, appStaging, appProd} {
		if err := s.applyApplication(ctx, app); err != nil {
			return err
		}
	}
	for _, app := range []string{appDev, appStaging, appProd} {
		if err := s.awaitHealthy(ctx, app, commit); err != nil {
			return err
		}
	}
	_, err = s.show(ctx, "kubectl", "--context", bed.Staging, "-n", "argocd", "get", "applications")
	return err
}

// signAndAttachSBOM signs an image and attaches its SBOM, as CI does.
func (s *Scenario) signAndAttachSBOM(ctx context.Context, i image) error {
	if _, err := s.cosign(ctx, "sign", i); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(s.dir, "sbom.spdx.json"), []byte(sbom), 0o644); err != nil {
		return err
	}
	_, err := s.cosign(ctx, "attest", i, "--type", "spdxjson", "--predicate", "sbom.spdx.json")
	return err
}

// attestSuite attests the result of a test suite for the release.
func (s *Scenario) attestSuite(ctx context.Context, suite string) error {
	passed := map[string]string{"e2e": "checkout,login,search", "load": "1000-users"}[suite]
	_, err := s.show(ctx, "envladder", "attest", "test", "--key", "keys/e2e.key", "--suite", suite,
		"--result", "PASSED", "--passed", passed, s.release.Ref())
	return err
}

// approve attests an approval of the release.
func (s *Scenario) approve(ctx context.Context) error {
	_, err := s.show(ctx, "envladder", "attest", "approval", "--key", "keys/managers.key", "--ladder", "shop",
		"--environment", "prod", "--comment", "Looks good", "--expires", "72h", s.release.Ref())
	return err
}

// openPreview opens a pull request and waits for its preview.
func (s *Scenario) openPreview(ctx context.Context) error {
	s.say.Explain("Bo pushes a branch of the service's source code and opens a pull request.")
	head, err := s.openPullRequest(ctx)
	if err != nil {
		return err
	}
	s.say.Explain("The generator finds it and reports why it has no preview yet: its image isn't built.")
	if err := s.showPreviews(ctx, "NoImage"); err != nil {
		return err
	}
	s.say.Explain("CI builds the pull request's image with the tag that the ladder specifies.")
	pushed, err := s.push(ctx, fmt.Sprintf("pr-%d-%.8s", s.climb.pull, head), "built by CI from commit "+head)
	if err != nil {
		return err
	}
	app := s.previewApp()
	if err := s.await(ctx, app, "Synced, Healthy and seeded", func(a application) bool {
		return a.sync == "Synced" && a.health == "Healthy" && a.phase == "Succeeded"
	}); err != nil {
		return err
	}
	s.say.Explain("Argo CD's ApplicationSet has created an Application with the digest of that image, in its own namespace. A Job has seeded its data.")
	if _, err := s.show(ctx, "kubectl", "--context", bed.Staging, "-n", "argocd", "get", "applications", app); err != nil {
		return err
	}
	out, err := s.show(ctx, "kubectl", "--context", bed.Staging, "-n", app, "get", "pods,jobs",
		"-o", "custom-columns=KIND:.kind,NAME:.metadata.name,SUCCEEDED:.status.succeeded,IMAGE:.spec.containers[0].image")
	if err != nil {
		return err
	}
	if !strings.Contains(out, pushed.Digest) || !strings.Contains(out, app+"-seed") {
		return fmt.Errorf("the preview doesn't run %s, or has no seed:\n%s", pushed.Digest, out)
	}
	return s.showPreviews(ctx, "Current")
}

// previewApp returns the name of the preview's Application.
func (s *Scenario) previewApp() string { return fmt.Sprintf("shop-pr-%d", s.climb.pull) }

// fillSource creates the repository of the service's source code.
func (s *Scenario) fillSource(ctx context.Context) error {
	remote, err := s.bed.Gitea.CreateRepository(ctx, "shop/web")
	if err != nil {
		return err
	}
	first, err := os.MkdirTemp(s.bed.Dir, "web-")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(first, "cart.txt"), []byte("one item\n"), 0o644); err != nil {
		return err
	}
	s.climb.source, err = newCheckout(ctx, s.shell, "web", first, remote, func(text string) (string, error) { return text, nil })
	if err != nil {
		return err
	}
	// Until Gitea has processed the push, it returns 404 for the list of pull requests.
	return bed.Poll(ctx, settleBound, func(ctx context.Context) error {
		return s.bed.Gitea.API(ctx, http.MethodGet, "/repos/shop/web/pulls", nil, nil)
	})
}

// openPullRequest pushes a branch, opens a pull request, and returns its head.
func (s *Scenario) openPullRequest(ctx context.Context) (head string, err error) {
	if _, err := s.climb.source.git(ctx, "checkout", "--quiet", "-b", "cart"); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(s.dir, "web", "cart.txt"), []byte("many items\n"), 0o644); err != nil {
		return "", err
	}
	if _, err := s.show(ctx, "git", "-C", "web", "commit", "-qam", "A cart of many items"); err != nil {
		return "", err
	}
	s.say.Command("git -C web push origin cart")
	if _, err := s.climb.source.git(ctx, "push", "--quiet", "origin", "cart"); err != nil {
		return "", err
	}
	if head, err = s.climb.source.git(ctx, "rev-parse", "HEAD"); err != nil {
		return "", err
	}
	opened, err := s.createPull(ctx, "shop/web", map[string]string{"title": "A cart of many items", "head": "cart", "base": "main"})
	if err != nil {
		return "", err
	}
	s.climb.pull = opened.Number
	s.say.Output(fmt.Sprintf("opened %s", opened.URL))
	return strings.TrimSpace(head), nil
}

// showPreviews waits until the generator's report on the pull requests contains text, and shows
// the report.
func (s *Scenario) showPreviews(ctx context.Context, text string) error {
	var last string
	err := bed.Poll(ctx, settleBound, func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.climb.previews+"/previews?ladder=shop", nil)
		if err != nil {
			return err
		}
		request.Header.Set("Authorization", "Bearer "+s.climb.previewsToken)
		request.Header.Set("Accept", "text/plain")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
		if err != nil {
			return err
		}
		if last = string(body); response.StatusCode != http.StatusOK || !strings.Contains(last, text) {
			return fmt.Errorf("%d: %s", response.StatusCode, last)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("waiting for the generator's report to contain %q: %w", text, err)
	}
	s.say.Command(`curl -s -H "Authorization: Bearer $(cat previews-token/token)" -H "Accept: text/plain" ` + s.climb.previews + "/previews?ladder=shop")
	s.say.Output(last)
	return nil
}

// mergeSource merges the pull request, and builds the release.
func (s *Scenario) mergeSource(ctx context.Context) error {
	if err := s.mergePull(ctx, "shop/web", s.climb.pull); err != nil {
		return err
	}
	s.say.Explain("Argo CD deletes the preview's Application and everything that it deployed.")
	if err := s.awaitGone(ctx, s.previewApp()); err != nil {
		return err
	}
	if _, err := s.show(ctx, "kubectl", "--context", bed.Staging, "-n", "argocd", "get", "applications"); err != nil {
		return err
	}
	s.say.Explain("CI builds main once, signs the digest, and attaches an SBOM. This digest climbs the ladder.")
	var err error
	if s.release, err = s.push(ctx, "1.5.0", "built by CI from main"); err != nil {
		return err
	}
	if err := s.define("WEB", s.release.Ref()); err != nil {
		return err
	}
	return s.signAndAttachSBOM(ctx, s.release)
}

// awaitGone waits until an Application and its pods are deleted.
func (s *Scenario) awaitGone(ctx context.Context, app string) error {
	staging := s.bed.Cluster(bed.Staging)
	err := bed.Poll(ctx, syncBound, func(ctx context.Context) error {
		if _, err := s.application(ctx, app); !apierrors.IsNotFound(err) {
			return fmt.Errorf("it still exists: %w", err)
		}
		pods, err := staging.Client().CoreV1().Pods(app).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=shop"})
		if err != nil {
			return err
		}
		if len(pods.Items) > 0 {
			return fmt.Errorf("%d of its pods still exist", len(pods.Items))
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("waiting until Application %q is deleted: %w", app, err)
	}
	return nil
}

// promoteDev promotes the release to dev.
func (s *Scenario) promoteDev(ctx context.Context) error {
	s.say.Explain("The ladder sets how a digest is promoted to dev: by a commit.")
	if _, err := s.envladderPromote(ctx, "dev", "--image", "web@"+s.release.Digest); err != nil {
		return err
	}
	return s.awaitMerged(ctx, appDev)
}

// envladderPromote runs and shows a promotion.
func (s *Scenario) envladderPromote(ctx context.Context, args ...string) (string, error) {
	return s.show(ctx, "envladder", append(append([]string{"promote"}, args...), "--forge", "Gitea", "-C", "gitops/shop")...)
}

// awaitMerged pulls the merged commit and waits until an Application runs it.
func (s *Scenario) awaitMerged(ctx context.Context, app string) error {
	commit, err := s.pull(ctx)
	if err != nil {
		return err
	}
	if err := s.refresh(ctx, app); err != nil {
		return err
	}
	if err := s.awaitHealthy(ctx, app, commit); err != nil {
		return err
	}
	_, err = s.show(ctx, "kubectl", "--context", bed.Staging, "-n", "argocd", "get", "applications", app)
	return err
}

// pull pulls the team's repository and returns its commit.
func (s *Scenario) pull(ctx context.Context) (commit string, err error) {
	if _, err := s.gitops.git(ctx, "pull", "--quiet", "--ff-only"); err != nil {
		return "", err
	}
	head, err := s.gitops.git(ctx, "rev-parse", "HEAD")
	return strings.TrimSpace(head), err
}

// promoteStaging promotes the release to staging.
func (s *Scenario) promoteStaging(ctx context.Context) error {
	s.say.Explain("The end-to-end tests pass in dev. Their result is signed for this digest.")
	if err := s.attestSuite(ctx, "e2e"); err != nil {
		return err
	}
	s.say.Explain("The digest that dev runs is the candidate for staging.")
	if _, err := s.envladderPromote(ctx, "staging"); err != nil {
		return err
	}
	if err := s.mergePromotion(ctx); err != nil {
		return err
	}
	return s.awaitMerged(ctx, appStaging)
}

// promoteUnproven checks that a promotion to prod without proof is refused, and opens a draft.
func (s *Scenario) promoteUnproven(ctx context.Context) error {
	s.say.Explain("The promotion evaluates prod's Gate before it opens anything. The verdict is the one that the cluster would return.")
	out, err := s.showFailing(ctx, "envladder", "promote", "prod", "--target", "eu", "--gate", gateFile, "--forge", "Gitea", "-C", "gitops/shop")
	if err != nil {
		return err
	}
	for _, code := range []string{"NoApproval", "NoTest"} {
		if !strings.Contains(out, code) {
			return fmt.Errorf("promotion was refused, but not for %s:\n%s", code, out)
		}
	}
	s.say.Explain("With --allow-unproven the pull request is opened as a draft. Its description lists what is missing.")
	if _, err := s.envladderPromote(ctx, "prod", "--target", "eu", "--gate", gateFile, "--allow-unproven"); err != nil {
		return err
	}
	opened, err := s.openPull(ctx, "team/gitops")
	if err != nil {
		return err
	}
	if !opened.Draft || !strings.Contains(opened.Body, "NoApproval") {
		return fmt.Errorf("want a draft with NoApproval in its description, got draft %t:\n%s", opened.Draft, opened.Body)
	}
	s.say.Output(fmt.Sprintf("%s\n%s\n\n%s", opened.URL, opened.Title, opened.Body))
	return nil
}

// prodState is the part of prod that a sync changes.
type prodState struct {
	Image     string
	Config    map[string]string
	Migration string // the UID of the migration's Job
}

// prodState returns the state of prod.
func (s *Scenario) prodState(ctx context.Context) (state prodState, err error) {
	prod := s.bed.Cluster(bed.Prod).Client()
	deployment, err := prod.AppsV1().Deployments(prodNamespace).Get(ctx, appProd, metav1.GetOptions{})
	if err != nil {
		return state, err
	}
	config, err := prod.CoreV1().ConfigMaps(prodNamespace).Get(ctx, appProd, metav1.GetOptions{})
	if err != nil {
		return state, err
	}
	job, err := prod.BatchV1().Jobs(prodNamespace).Get(ctx, appProd+"-migration", metav1.GetOptions{})
	if err != nil {
		return state, err
	}
	return prodState{deployment.Spec.Template.Spec.Containers[0].Image, config.Data, string(job.UID)}, nil
}

func (p prodState) String() string {
	text, _ := json.Marshal(p) // only strings
	return string(text)
}

// checkUntouched returns an error if prod has changed.
func (s *Scenario) checkUntouched(ctx context.Context) error {
	state, err := s.prodState(ctx)
	if err != nil {
		return err
	}
	if state.String() != s.climb.untouched.String() {
		return fmt.Errorf("a denied sync changed prod from %s to %s", s.climb.untouched, state)
	}
	return nil
}

// mergeUnproven merges the draft and checks that the cluster denies it and nothing changes.
func (s *Scenario) mergeUnproven(ctx context.Context) error {
	var err error
	if s.climb.untouched, err = s.prodState(ctx); err != nil {
		return err
	}
	s.say.Explain("A user adds the release's feature flag to the branch, marks the draft as ready, and merges it.")
	if err := s.addFlag(ctx); err != nil {
		return err
	}
	if err := s.mergePromotion(ctx); err != nil {
		return err
	}
	commit, err := s.pull(ctx)
	if err != nil {
		return err
	}
	if err := s.refresh(ctx, appProd); err != nil {
		return err
	}
	if err := s.awaitDenied(ctx, commit, "NoApproval", "NoTest"); err != nil {
		return err
	}
	if s.options.ArgoCD == "v2" { // what happens after its last retry must not change anything either
		if err := s.await(ctx, appProd, "finished with its retries", func(a application) bool { return a.phase != "Running" }); err != nil {
			return err
		}
	}
	if err := s.showDenial(ctx); err != nil {
		return err
	}
	s.say.Explain("Besides the digest, the commit changes a ConfigMap, and it has a migration Job. Nothing of it was applied, because the preflight was denied. The preflight is a PodTemplate that is applied before everything else.")
	for _, args := range [][]string{
		{"get", "configmap", appProd, "-o", `jsonpath={.data.FEATURE_GIFT_CARDS}{"\n"}`},
		{"get", "deployment", appProd, "-o", `jsonpath={.spec.template.spec.containers[0].image}{"\n"}`},
		{"get", "jobs", "-o", "custom-columns=JOB:.metadata.name,IMAGE:.spec.template.spec.containers[0].image"},
	} {
		if _, err := s.show(ctx, "kubectl", append([]string{"--context", bed.Prod, "-n", prodNamespace}, args...)...); err != nil {
			return err
		}
	}
	return s.checkUntouched(ctx)
}

// addFlag commits a change to prod's values on the promotion's branch.
func (s *Scenario) addFlag(ctx context.Context) error {
	opened, err := s.openPull(ctx, "team/gitops")
	if err != nil {
		return err
	}
	for _, args := range [][]string{{"fetch", "--quiet", "origin"}, {"checkout", "--quiet", "-B", "release", "origin/" + opened.Head.Ref}} {
		if _, err := s.gitops.git(ctx, args...); err != nil {
			return err
		}
	}
	path := filepath.Join(s.dir, "gitops", "shop", "values", "prod.yaml")
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, append(data, "features:\n  giftCards: true\n"...), 0o644); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"commit", "--quiet", "--all", "--message=Gift cards in prod"},
		{"push", "--quiet", "origin", "HEAD:" + opened.Head.Ref},
		{"checkout", "--quiet", "main"},
	} {
		if _, err := s.gitops.git(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}

// syncNewerCommit checks that a newer commit is synced while the denied one is retried.
func (s *Scenario) syncNewerCommit(ctx context.Context) error {
	s.say.Explain("Argo CD still retries the denied commit. A newer commit is synced nevertheless: here the team reverts the release.")
	for _, change := range []struct {
		explain string
		check   func(context.Context, string) error
	}{
		{"", func(ctx context.Context, commit string) (err error) {
			if err := s.awaitHealthy(ctx, appProd, commit); err != nil {
				return err
			}
			// The sync runs the migration again.
			if err := s.await(ctx, appProd, "finished with its sync", func(a application) bool { return a.phase != "Running" }); err != nil {
				return err
			}
			s.climb.untouched, err = s.prodState(ctx)
			return err
		}},
		{"The team reverts the revert. The commit is denied again, because the proof is still missing.", func(ctx context.Context, commit string) error {
			if err := s.awaitDenied(ctx, commit, "NoApproval"); err != nil {
				return err
			}
			return s.checkUntouched(ctx)
		}},
	} {
		if change.explain != "" {
			s.say.Explain(change.explain)
		}
		commit, err := s.revert(ctx)
		if err != nil {
			return err
		}
		if err := s.refresh(ctx, appProd); err != nil {
			return err
		}
		if err := change.check(ctx, commit); err != nil {
			return err
		}
		if _, err := s.show(ctx, "kubectl", "--context", bed.Staging, "-n", "argocd", "get", "applications", appProd); err != nil {
			return err
		}
	}
	return nil
}

// revert reverts the last commit, which is a merge or another revert.
func (s *Scenario) revert(ctx context.Context) (commit string, err error) {
	args := []string{"revert", "--no-edit", "HEAD"}
	parents, err := s.gitops.git(ctx, "rev-list", "--parents", "-n", "1", "HEAD")
	if err != nil {
		return "", err
	}
	if len(strings.Fields(parents)) > 2 {
		args = []string{"revert", "--no-edit", "--mainline", "1", "HEAD"}
	}
	s.say.Command(line("git", append([]string{"-C", "gitops"}, args...)))
	if _, err := s.gitops.git(ctx, args...); err != nil {
		return "", err
	}
	s.say.Command("git -C gitops push")
	if _, err := s.gitops.git(ctx, "push", "--quiet"); err != nil {
		return "", err
	}
	head, err := s.gitops.git(ctx, "rev-parse", "HEAD")
	return strings.TrimSpace(head), err
}

// completeProof completes the proof and checks that the sync succeeds.
func (s *Scenario) completeProof(ctx context.Context) error {
	s.say.Explain("Meanwhile staging's observer has measured how long the digest was healthy, and signs the soak after " + soakTime.String() + ".")
	if err := s.awaitSoak(ctx); err != nil {
		return err
	}
	if _, err := s.show(ctx, "kubectl", "--context", bed.Staging, "-n", "shop-staging", "get", "soaks"); err != nil {
		return err
	}
	s.say.Explain("The load test passes, and a manager approves.")
	if err := s.attestSuite(ctx, "load"); err != nil {
		return err
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
	commit, err := s.pull(ctx)
	if err != nil {
		return err
	}
	if err := s.awaitHealthy(ctx, appProd, commit); err != nil {
		return err
	}
	if _, err := s.show(ctx, "kubectl", "--context", bed.Staging, "-n", "argocd", "get", "applications"); err != nil {
		return err
	}
	state, err := s.prodState(ctx)
	if err != nil {
		return err
	}
	if state.Image != s.release.Ref() || state.Config["FEATURE_GIFT_CARDS"] != "true" || state.Migration == s.climb.untouched.Migration {
		return fmt.Errorf("unexpected state of prod after the sync: %s", state)
	}
	return nil
}

var soaks = schema.GroupVersionResource{Group: "envladder.dev", Version: "v1alpha1", Resource: "soaks"}

// awaitSoak waits until the release's soak satisfies prod's Gate.
func (s *Scenario) awaitSoak(ctx context.Context) error {
	return bed.Poll(ctx, settleBound, func(ctx context.Context) error {
		out, err := s.run(ctx, "envladder", "verify", s.release.Ref(), "--gate", gateFile)
		if !strings.Contains(out, "NoSoak") && !strings.Contains(out, "SoakTooShort") && !strings.Contains(out, "SoakOpen") && strings.Contains(out, "denied in prod") {
			return nil
		}
		list, listErr := s.bed.Cluster(bed.Staging).Dynamic().Resource(soaks).Namespace("shop-staging").List(ctx, metav1.ListOptions{})
		if listErr != nil {
			return listErr
		}
		return fmt.Errorf("%s %w; Soaks: %v", out, err, statuses(list))
	})
}

// statuses returns the status of each object.
func statuses(list *unstructured.UnstructuredList) []any {
	var all []any
	for _, item := range list.Items {
		all = append(all, item.Object["status"])
	}
	return all
}

// showStatus shows the status of the ladder.
func (s *Scenario) showStatus(ctx context.Context) error {
	if _, err := s.show(ctx, "envladder", "status", "-C", "gitops/shop",
		"--context", bed.Staging, "--context", bed.Prod, "--gate", gateFile); err != nil {
		return err
	}
	return s.checkProdStatus(ctx)
}

// checkProdStatus returns an error unless the status reports that the release is pinned in prod,
// runs there, and is proven.
func (s *Scenario) checkProdStatus(ctx context.Context) error {
	out, err := s.run(ctx, "envladder", "status", "-C", "gitops/shop", "-o", "json",
		"--context", bed.Staging, "--context", bed.Prod, "--gate", gateFile)
	if err != nil {
		return err
	}
	var status struct {
		Rows []struct {
			EnvTarget, Digest string
			Running           []struct {
				Digest         string
				Ready, Desired int
			}
			Verdicts []struct {
				Allowed  bool
				Evidence []struct{ Requirement string }
			}
		}
	}
	if err := json.Unmarshal([]byte(out), &status); err != nil {
		return fmt.Errorf("reading the status: %w", err)
	}
	for _, p := range status.Rows {
		if p.EnvTarget != "prod/eu" {
			continue
		}
		runs := len(p.Running) == 1 && p.Running[0].Digest == s.release.Digest && p.Running[0].Ready > 0 && p.Running[0].Ready == p.Running[0].Desired
		proven := len(p.Verdicts) == 1 && p.Verdicts[0].Allowed && len(p.Verdicts[0].Evidence) >= 5
		if p.Digest == s.release.Digest && runs && proven {
			return nil
		}
		return fmt.Errorf("unexpected status of prod: %+v", p)
	}
	return fmt.Errorf("the status has no row for prod/eu:\n%s", out)
}

// rollBack deploys the previous release to prod.
func (s *Scenario) rollBack(ctx context.Context) error {
	s.say.Explain("A rollback is a commit like any other. The previous digest is still proven.")
	if _, err := s.show(ctx, "envladder", "pin", "prod", "--target", "eu", "web@"+s.climb.before.Digest, "-C", "gitops/shop"); err != nil {
		return err
	}
	commit, err := s.gitops.commit(ctx, "Back to web 1.4.1 in prod")
	if err != nil {
		return err
	}
	if err := s.refresh(ctx, appProd); err != nil {
		return err
	}
	if err := s.awaitHealthy(ctx, appProd, commit); err != nil {
		return err
	}
	state, err := s.prodState(ctx)
	if err != nil {
		return err
	}
	if state.Image != s.climb.before.Ref() {
		return fmt.Errorf("prod runs %s, want the previous image", state.Image)
	}
	_, err = s.show(ctx, "kubectl", "--context", bed.Prod, "-n", prodNamespace, "get", "deployments", "-o", "custom-columns=NAME:.metadata.name,READY:.status.readyReplicas,IMAGE:.spec.template.spec.containers[0].image")
	return err
}
