package scenario

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/yaml"

	"github.com/envladder/envladder/test/bed"
	"github.com/envladder/envladder/test/bed/install"
)

// Values in examples/shop that the scenario replaces with those of the bed.
const (
	exampleRegistry = "registry.example.com"
	exampleGit      = "https://git.example.com"
	gateFile        = "platform/gates/shop-prod.yaml"
)

// signers are the signers of the example's Gate. Each has a key pair.
var signers = []string{"ci", "staging-observer", "e2e", "managers"}

// writeKubeconfig merges the administrators' kubeconfigs into one with a context for
// each cluster.
func (s *Scenario) writeKubeconfig(context.Context) error {
	merged := clientcmdapi.NewConfig()
	for _, cluster := range s.options.clusterParts().Clusters {
		name := cluster.Name
		config, err := clientcmd.LoadFromFile(s.bed.Cluster(name).Kubeconfig)
		if err != nil {
			return fmt.Errorf("reading the kubeconfig of cluster %q: %w", name, err)
		}
		current := config.Contexts[config.CurrentContext]
		merged.Clusters[name] = config.Clusters[current.Cluster]
		merged.AuthInfos[name] = config.AuthInfos[current.AuthInfo]
		merged.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	}
	path := filepath.Join(s.dir, "kubeconfig")
	if err := clientcmd.WriteToFile(*merged, path); err != nil {
		return fmt.Errorf("writing the kubeconfig: %w", err)
	}
	s.setenv("KUBECONFIG", path)
	s.setenv("ARGOCD_OPTS", s.argocdOptions())
	return nil
}

// argocdOptions returns the options of the argocd command line.
func (s *Scenario) argocdOptions() string { return "--plaintext --server " + s.bed.ArgoCD.Server }

// makeKeys generates a key pair for each signer with cosign, and configures cosign to sign without
// sigstore's public services.
func (s *Scenario) makeKeys(ctx context.Context) error {
	if err := os.MkdirAll(filepath.Join(s.dir, "keys"), 0o700); err != nil {
		return err
	}
	for _, signer := range signers {
		if _, err := s.run(ctx, "cosign", "generate-key-pair", "--output-key-prefix", "keys/"+signer); err != nil {
			return err
		}
	}
	for command, variable := range map[string]string{"signing-config": "COSIGN_SIGNING_CONFIG", "trusted-root": "COSIGN_TRUSTED_ROOT"} {
		file := filepath.Join(s.dir, command+".json")
		if _, err := s.run(ctx, "cosign", command, "create", "--out", file); err != nil {
			return err
		}
		s.setenv(variable, file)
	}
	return nil
}

// repositories are the names of the repositories by their folder in examples/shop.
var repositories = map[string]string{"gitops": "team/gitops", "platform": "platform/platform"}

// logInToGit lets git push without a password in a process list or a clone.
func (s *Scenario) logInToGit() {
	gitea := s.bed.Gitea
	basic := base64.StdEncoding.EncodeToString([]byte(gitea.User + ":" + gitea.Password))
	s.setenv("GIT_CONFIG_COUNT", "1")
	s.setenv("GIT_CONFIG_KEY_0", "http."+gitea.URL+"/.extraHeader")
	s.setenv("GIT_CONFIG_VALUE_0", "Authorization: Basic "+basic)
	s.setenv("ENVLADDER_FORGE_TOKEN", gitea.Token)
}

// fillRepositories pushes the team's and the platform's repositories.
func (s *Scenario) fillRepositories(ctx context.Context) error {
	s.logInToGit()
	for name, repository := range repositories {
		remote, err := s.bed.Gitea.CreateRepository(ctx, repository)
		if err != nil {
			return err
		}
		c, err := newCheckout(ctx, s.shell, name, filepath.Join(s.options.Root, "examples", "shop", name), remote, s.localize)
		if err != nil {
			return err
		}
		switch name {
		case "gitops":
			s.gitops = c
		case "platform":
			s.platform = c
		}
	}
	return nil
}

// localize replaces the example's hosts with those of the bed, and its intervals with shorter ones.
func (s *Scenario) localize(text string) (string, error) {
	if s.options.ArgoCD == "v2" {
		// Argo CD 2.14 has no `refresh`: with unlimited retries, a denied operation would
		// block every newer commit.
		if limited := strings.ReplaceAll(text, "limit: -1\n      refresh: true\n", "limit: 1\n"); limited != text {
			// After the last retry, self-heal would sync the denied commit without hooks.
			text = strings.ReplaceAll(limited, "selfHeal: true", "selfHeal: false")
		}
	}
	return s.withKeys(strings.NewReplacer(
		exampleRegistry, s.bed.Registry("main").Host,
		exampleGit, s.bed.Gitea.URL,
		"name: envladder\n", "name: "+s.pluginName()+"\n",
		"duration: 5s", "duration: 1s",
		"maxDuration: 1m", "maxDuration: 5s",
		"requeueAfterSeconds: 180", "requeueAfterSeconds: 2",
	).Replace(s.shortenSoaks(text)))
}

// shortenSoaks shortens the soaks of story Climb to seconds.
func (s *Scenario) shortenSoaks(text string) string {
	if s.options.Story != Climb {
		return text
	}
	return strings.NewReplacer(
		"duration: 24h", "duration: "+soakTime.String(),
		"attestAfter: [1h, 24h]", "attestAfter: [3s, "+soakTime.String()+"]",
	).Replace(text)
}

// withKeys replaces the keys in a Gate with the signers' public keys. It returns other documents
// unchanged.
func (s *Scenario) withKeys(text string) (string, error) {
	if !strings.Contains(text, "\nkind: Gate\n") {
		return text, nil
	}
	var gate unstructured.Unstructured
	if err := yaml.Unmarshal([]byte(text), &gate.Object); err != nil {
		return "", fmt.Errorf("reading the Gate: %w", err)
	}
	list, _, err := unstructured.NestedSlice(gate.Object, "spec", "signers")
	if err != nil {
		return "", fmt.Errorf("reading the Gate's signers: %w", err)
	}
	for _, entry := range list {
		signer, ok := entry.(map[string]any)
		if !ok {
			return "", errors.New("reading the Gate's signers: not a map")
		}
		name, _, _ := unstructured.NestedString(signer, "name")
		placeholder, _, _ := unstructured.NestedString(signer, "key", "data")
		key, err := os.ReadFile(filepath.Join(s.dir, "keys", name+".pub"))
		if err != nil {
			return "", fmt.Errorf("reading the key of signer %q: %w", name, err)
		}
		text = replaceLines(text, placeholder, string(key))
	}
	return text, nil
}

// replaceLines replaces lines and keeps their indentation and the text around them, including
// comments.
func replaceLines(text, from, to string) string {
	first, _, _ := strings.Cut(from, "\n")
	for line := range strings.Lines(text) {
		if strings.TrimSpace(line) == first {
			indent, _, _ := strings.Cut(line, first)
			candidate := indented(from, indent)
			if strings.Contains(text, candidate) {
				return strings.Replace(text, candidate, indented(to, indent), 1)
			}
		}
	}
	return text
}

// indented returns the text with each line indented.
func indented(text, indent string) string {
	return indent + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n"+indent)
}

// installPlugin runs the plugin with its socket in the folder that Argo CD's repo-server reads.
func (s *Scenario) installPlugin(ctx context.Context) error {
	socket := filepath.Join(s.bed.ArgoCD.PluginDir, s.pluginName()+".sock")
	plugin := bed.Process{
		Name: "envladder-plugin",
		Path: filepath.Join(s.bin, "envladder-plugin"),
		Args: []string{"serve"},
		Env:  []string{"ARGOCD_PLUGINSOCKFILEPATH=" + s.bed.ArgoCD.PluginDir},
		Ready: func(ctx context.Context) error {
			conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
			if err != nil {
				return err
			}
			return conn.Close()
		},
	}
	if s.options.Exec {
		config, err := s.pluginConfig()
		if err != nil {
			return err
		}
		plugin.Path = filepath.Join(s.bin, "argocd")
		plugin.Args = []string{"--config-dir-path", config}
		plugin.Env = append(plugin.Env, "ARGOCD_BINARY_NAME=argocd-cmp-server", "ARGOCD_CMP_WORKDIR="+config, "PATH="+s.bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	}
	return s.runOwn(ctx, plugin)
}

// runOwn runs a program of envladder.
func (s *Scenario) runOwn(ctx context.Context, p bed.Process) error {
	running, err := s.bed.Run(ctx, p)
	if err == nil {
		s.own[p.Name] = running
	}
	return err
}

// killAndStart kills envladder's programs and starts them again.
func (s *Scenario) killAndStart(ctx context.Context) error {
	for _, running := range s.own {
		running.Kill()
	}
	for _, running := range s.own {
		if err := running.Start(ctx); err != nil {
			return err
		}
	}
	if s.options.Story != Climb {
		return nil
	}
	return s.refreshPreviews(ctx)
}

// pluginName returns the plugin's name in Applications.
func (s *Scenario) pluginName() string {
	if s.options.Exec {
		return "envladder-v1" // name and version in manifests/plugin.yaml
	}
	return "envladder"
}

// pluginConfig creates a folder with the manifest that argocd-cmp-server reads.
func (s *Scenario) pluginConfig() (string, error) {
	dir := filepath.Join(s.dir, "cmp-server")
	manifest, err := os.ReadFile(filepath.Join(s.options.Root, "manifests", "plugin.yaml"))
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	return dir, os.WriteFile(filepath.Join(dir, "plugin.yaml"), manifest, 0o644)
}

// installWebhook runs the webhook of the prod cluster.
func (s *Scenario) installWebhook(ctx context.Context) error {
	_, err := install.Webhook(ctx, s.bed, s.bed.Cluster(bed.Prod), s.options.Root, s.runOwn)
	return err
}

// runDeployment runs a program with the settings of its manifest.
func (s *Scenario) runDeployment(ctx context.Context, l install.Local) error {
	process, err := l.Process(s.bed, s.options.Root)
	if err != nil {
		return err
	}
	return s.runOwn(ctx, process)
}

// applyPlatform applies the platform team's projects and deploys the Gates to the prod cluster by
// Argo CD. Without a Gate, nothing would be checked in its namespaces.
func (s *Scenario) applyPlatform(ctx context.Context) error {
	if err := install.Files(ctx, s.bed.Cluster(bed.Staging), filepath.Join(s.dir, "platform", "projects")); err != nil {
		return err
	}
	if err := s.applyApplication(ctx, "gates"); err != nil {
		return err
	}
	return s.awaitAccepted(ctx, "shop-prod")
}

// applyApplication applies one of the platform team's Applications.
func (s *Scenario) applyApplication(ctx context.Context, name string) error {
	data, err := os.ReadFile(filepath.Join(s.dir, "platform", "applications", name+".yaml"))
	if err != nil {
		return err
	}
	if err := s.bed.Cluster(bed.Staging).Apply(ctx, "argocd", string(data)); err != nil {
		return fmt.Errorf("applying Application %q: %w", name, err)
	}
	return nil
}

// awaitAccepted waits until the webhook reports that it has accepted a Gate.
func (s *Scenario) awaitAccepted(ctx context.Context, name string) error {
	gates := schema.GroupVersionResource{Group: "envladder.dev", Version: "v1alpha1", Resource: "gates"}
	return bed.Poll(ctx, syncBound, func(ctx context.Context) error {
		gate, err := s.bed.Cluster(bed.Prod).Dynamic().Resource(gates).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		conditions, _, _ := unstructured.NestedSlice(gate.Object, "status", "conditions")
		for _, c := range conditions {
			if m, ok := c.(map[string]any); ok && m["type"] == "Accepted" && m["status"] == "True" {
				return nil
			}
		}
		return fmt.Errorf("gate %q isn't accepted: %v", name, conditions)
	})
}
