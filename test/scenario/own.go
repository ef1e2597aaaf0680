package scenario

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/envladder/envladder/test/bed"
	"github.com/envladder/envladder/test/bed/install"
)

const observerAccount = "envladder-observer"

// installObserver runs the observer of staging's cluster with its own service account, and
// deploys its Gate by Argo CD.
func (s *Scenario) installObserver(ctx context.Context) error {
	staging := s.bed.Cluster(bed.Staging)
	if err := install.CRDs(ctx, staging, s.options.Root); err != nil {
		return err
	}
	if _, err := install.Account(ctx, staging, s.options.Root, "observer.yaml"); err != nil {
		return err
	}
	kubeconfig, err := staging.ServiceAccountKubeconfig(ctx, install.Namespace, observerAccount)
	if err != nil {
		return err
	}
	health, err := install.FreeAddress()
	if err != nil {
		return err
	}
	if err := s.runDeployment(ctx, install.Local{
		Manifest: "observer.yaml", Program: "envladder-observer",
		Pod:    []string{"--kubeconfig=" + kubeconfig, "--leader-election-namespace=" + install.Namespace},
		Mounts: map[string]string{"/key/cosign.key": filepath.Join(s.dir, "keys", "staging-observer.key")},
		Flags:  map[string]string{"--interval": "1s", "--health-probe-bind-address": health},
		Ready:  "http://" + health + "/readyz",
	}); err != nil {
		return err
	}
	return s.applyApplication(ctx, "gates-staging")
}

// installGenerator runs the previews' generator with a copy of the team's ladder in place of the
// ConfigMap, and applies the ApplicationSet that uses it.
func (s *Scenario) installGenerator(ctx context.Context) error {
	address, err := install.FreeAddress()
	if err != nil {
		return err
	}
	s.climb.previews = "http://" + address
	random := make([]byte, 32)
	if _, err := rand.Read(random); err != nil {
		return err
	}
	s.climb.previewsToken = hex.EncodeToString(random)
	if err := s.writeGeneratorFiles(); err != nil {
		return err
	}
	if err := s.runDeployment(ctx, install.Local{
		Manifest: "appset-generator.yaml", Program: "envladder-appset",
		Mounts: map[string]string{
			"/ladders": filepath.Join(s.dir, "ladders"),
			"/token":   filepath.Join(s.dir, "previews-token"),
			"/gitea":   filepath.Join(s.dir, "gitea-token"),
			"/state":   filepath.Join(s.dir, "previews-state"),
			// This registry requires no credentials.
			"/registry": filepath.Join(s.dir, "previews-registry"),
		},
		Flags: map[string]string{"--listen": address, "--gitea-url": s.bed.Gitea.URL},
		Ready: s.climb.previews + "/readyz",
	}); err != nil {
		return err
	}
	return s.applyPreviews(ctx)
}

// writeGeneratorFiles writes the files that the generator mounts.
func (s *Scenario) writeGeneratorFiles() error {
	ladder, err := os.ReadFile(filepath.Join(s.dir, "gitops", "shop", "ladder.yaml"))
	if err != nil {
		return err
	}
	for path, content := range map[string]string{
		"ladders/shop.yaml":    string(ladder),
		"previews-token/token": s.climb.previewsToken,
		"gitea-token/token":    s.bed.Gitea.Token,
		"previews-registry/envladder-appset-registry.json": `{"auths": {}}`,
	} {
		path = filepath.Join(s.dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			return err
		}
	}
	return os.MkdirAll(filepath.Join(s.dir, "previews-state"), 0o700)
}

// Patterns for the address of an ApplicationSet's plugin and for the Secret with its token.
var (
	baseURL  = regexp.MustCompile(`(?m)^(\s*baseUrl: ).*$`)
	tokenRef = regexp.MustCompile(`(?m)^\s*token: ["']?\$([a-z0-9-]+):([a-z0-9-]+)["']?`)
)

// applyPreviews applies the platform team's ApplicationSet and the Secret with its token.
func (s *Scenario) applyPreviews(ctx context.Context) error {
	data, err := os.ReadFile(filepath.Join(s.dir, "platform", "applicationsets", "shop-previews.yaml"))
	if err != nil {
		return err
	}
	text := baseURL.ReplaceAllString(string(data), "${1}"+s.climb.previews)
	ref := tokenRef.FindStringSubmatch(text)
	if ref == nil {
		return errors.New("applying the ApplicationSet: no reference to a token found")
	}
	secret := fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: %s, labels: {app.kubernetes.io/part-of: argocd}}\nstringData: {%s: %q}\n",
		ref[1], ref[2], s.climb.previewsToken)
	return s.bed.Cluster(bed.Staging).Apply(ctx, "argocd", secret, text)
}

var applicationSets = schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "applicationsets"}

// refreshPreviews makes Argo CD query the generator now. After an error Argo CD would retry only
// after three minutes.
func (s *Scenario) refreshPreviews(ctx context.Context) error {
	patch := []byte(`{"metadata":{"annotations":{"argocd.argoproj.io/application-set-refresh":"true"}}}`)
	_, err := s.bed.Cluster(bed.Staging).Dynamic().Resource(applicationSets).Namespace("argocd").
		Patch(ctx, "shop-previews", types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		return fmt.Errorf("refreshing the ApplicationSet: %w", err)
	}
	return nil
}
