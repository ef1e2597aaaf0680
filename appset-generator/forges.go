package appset

import (
	"fmt"
	"net/http"
	"time"

	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/scm"
)

// Forge is the address and the token of one kind of forge. A ladder names only the kind and
// a repository.
type Forge struct {
	URL string
	// TokenFile is read at each request; without one, requests are anonymous.
	TokenFile string
	// CAFile is a PEM file with the CA that signed the forge's certificate; it replaces the
	// system's CAs.
	CAFile string
}

// forges are the hosts that ladders may name. The repositories of a host share its
// connections and its token's rate limit.
type forges map[ladder.Forge]*scm.Host

// newForges connects the forges, and validates their configuration at the start.
func newForges(configured map[ladder.Forge]Forge, now func() time.Time) (forges, error) {
	hosts := forges{}
	for kind, forge := range configured {
		options := scm.HostOptions{Forge: scm.Forge(kind), URL: forge.URL, CAFile: forge.CAFile, Now: now}
		if forge.TokenFile != "" {
			options.Token = func() (string, error) { return ReadToken(forge.TokenFile) }
			if _, err := ReadToken(forge.TokenFile); err != nil {
				return nil, err
			}
		}
		host, err := scm.NewHost(options)
		if err != nil {
			return nil, err
		}
		hosts[kind] = host
	}
	return hosts, nil
}

func (f forges) repository(source ladder.Source) (scm.Repository, error) {
	host, ok := f[source.Forge]
	if !ok {
		return nil, &httpError{http.StatusUnprocessableEntity, fmt.Errorf("choosing the forge %s: it is not configured: set --%s-url", source.Forge, slug(string(source.Forge)))}
	}
	repository, err := host.Repository(source.Repository)
	if err != nil {
		return nil, &httpError{http.StatusUnprocessableEntity, err}
	}
	return repository, nil
}
