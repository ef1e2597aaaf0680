package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/envladder/envladder/test/bed"
	"github.com/envladder/envladder/test/programs"
)

// A state describes a running bed. `bed up` prints it and stores it for `bed down`.
type state struct {
	PID        int                      `json:"pid"`
	Dir        string                   `json:"dir"`
	Logs       string                   `json:"logs"`
	CA         string                   `json:"ca"`
	Clusters   map[string]clusterState  `json:"clusters,omitempty"`
	ArgoCD     *argoCDState             `json:"argocd,omitempty"`
	Gitea      *giteaState              `json:"gitea,omitempty"`
	Registries map[string]registryState `json:"registries,omitempty"`
	Report     bed.Report               `json:"report"`
}

type clusterState struct {
	URL        string `json:"url"`
	Kubeconfig string `json:"kubeconfig"`
	CA         string `json:"ca"`
}

type argoCDState struct {
	Version   string `json:"version"`
	URL       string `json:"url"`
	Namespace string `json:"namespace"`
	PluginDir string `json:"pluginDir"`
}

type giteaState struct {
	URL      string `json:"url"`
	User     string `json:"user"`
	Password string `json:"password"`
	Token    string `json:"token"`
}

type registryState struct {
	Host      string `json:"host"`
	Referrers bool   `json:"referrers"`
}

// describe returns the state of a bed.
func describe(b *bed.Bed, parts bed.Parts) state {
	s := state{
		PID: os.Getpid(), Dir: b.Dir, Logs: filepath.Join(b.Dir, "logs"), CA: b.CA.File,
		Clusters: map[string]clusterState{}, Registries: map[string]registryState{},
		Report: b.Report(),
	}
	for _, c := range parts.Clusters {
		cluster := b.Cluster(c.Name)
		s.Clusters[c.Name] = clusterState{URL: cluster.URL, Kubeconfig: cluster.Kubeconfig, CA: cluster.CA.File}
	}
	for _, r := range parts.Registries {
		s.Registries[r.Name] = registryState{Host: b.Registry(r.Name).Host, Referrers: r.Referrers}
	}
	if a := b.ArgoCD; a != nil {
		s.ArgoCD = &argoCDState{Version: a.Version, URL: a.URL, Namespace: a.Namespace, PluginDir: a.PluginDir}
	}
	if g := b.Gitea; g != nil {
		s.Gitea = &giteaState{URL: g.URL, User: g.User, Password: g.Password, Token: g.Token}
	}
	return s
}

// defaultStateFile returns the path of the state file, which is in the cache folder of the
// programs.
func defaultStateFile() string {
	dir, err := programs.CacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	return filepath.Join(dir, "state.json")
}

// A claim is the lock of a state file, which only one bed can hold. The kernel releases it when
// the process ends, so a file of a killed process isn't locked.
type claim struct {
	file string
	lock *os.File
}

// claimState locks a state file.
func claimState(file string) (*claim, error) {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return nil, fmt.Errorf("claiming state file %q: %w", file, err)
	}
	lock, err := tryLock(file)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, fmt.Errorf("claiming state file %q: a bed is already running: stop it with `bed down`, or use another --state", file)
	}
	if err != nil {
		return nil, fmt.Errorf("claiming state file %q: %w", file, err)
	}
	return &claim{file, lock}, nil
}

// tryLock locks a state file, or fails if it is locked.
func tryLock(file string) (*os.File, error) {
	lock, err := os.OpenFile(file+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return nil, err
	}
	return lock, nil
}

// write writes the state. It renames the file, so that no reader gets an incomplete document.
// The file contains passwords, so only the user can read it.
func (c *claim) write(s state) error {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	part := c.file + ".part"
	if err := os.WriteFile(part, append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("writing state: %w", err)
	}
	return os.Rename(part, c.file)
}

// release removes the state file and releases the lock.
func (c *claim) release() {
	_ = os.Remove(c.file)
	c.lock.Close()
}
