package bed

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"time"
)

// RegistryOptions configures a registry.
type RegistryOptions struct {
	Name string
	// Referrers selects a registry with the referrers API of OCI 1.1. Otherwise the registry is
	// distribution, which doesn't have it.
	Referrers bool
	// TLS serves HTTPS with a certificate signed by Bed.CA. Otherwise the registry serves plain
	// HTTP, which clients accept on loopback.
	TLS bool
}

// program returns the program of the registry.
func (o RegistryOptions) program() string {
	if o.Referrers {
		return "referrers-registry"
	}
	return "distribution"
}

// A Registry is an OCI registry on loopback. It keeps its content while it is stopped.
type Registry struct {
	Name string
	// Host is the host in references: 127.0.0.1:port.
	Host string
	// Process is the registry's process, which tests can stop and start.
	Process *Running

	client *http.Client
}

// startRegistry starts a registry.
func (b *Bed) startRegistry(ctx context.Context, o RegistryOptions) error {
	begin := time.Now()
	var port int
	if err := freePorts(&port); err != nil {
		return err
	}
	r := &Registry{Name: o.Name, Host: loopback(port), client: httpClient(b.CA)}
	p := Process{Name: "registry-" + o.Name}
	var err error
	if p.Path, err = b.Program(ctx, o.program()); err != nil {
		return err
	}
	scheme := "http://"
	var tls KeyPair
	if o.TLS {
		scheme = "https://"
		if tls, err = b.CA.Server("registry"); err != nil {
			return err
		}
	}
	if p.Args, err = b.registryArgs(o, r.Host, tls); err != nil {
		return err
	}
	p.Ready = httpOK(r.client, scheme+r.Host+"/v2/")
	if r.Process, err = b.run(ctx, turnService, p); err != nil {
		return err
	}
	b.mu.Lock()
	b.registries[o.Name] = r
	b.mu.Unlock()
	b.part("registry "+o.Name, begin)
	return nil
}

// registryArgs returns the arguments of a registry and writes its configuration.
func (b *Bed) registryArgs(o RegistryOptions, host string, tls KeyPair) ([]string, error) {
	dir := b.path("registries", o.Name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("starting registry %q: %w", o.Name, err)
	}
	if o.Referrers {
		return []string{"-addr", host, "-dir", dir, "-tls-cert", tls.CertFile, "-tls-key", tls.KeyFile}, nil
	}
	config := b.path("registries", o.Name+".yaml")
	if err := os.WriteFile(config, []byte(distributionConfig(host, dir, tls)), 0o644); err != nil {
		return nil, fmt.Errorf("starting registry %q: %w", o.Name, err)
	}
	return []string{"serve", config}, nil
}

// distributionConfig returns the configuration of distribution.
func distributionConfig(host, dir string, tls KeyPair) string {
	config := fmt.Sprintf(`version: 0.1
log: {level: warn, accesslog: {disabled: false}}
storage:
  filesystem: {rootdirectory: %q}
  delete: {enabled: true}
http:
  addr: %q
`, dir, host)
	if tls.CertFile != "" {
		config += fmt.Sprintf("  tls: {certificate: %q, key: %q}\n", tls.CertFile, tls.KeyFile)
	}
	return config
}
