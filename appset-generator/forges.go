package appset

import (
	"fmt"
	"net/http"
	"time"

	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/scm"
)

// Forge is where a kind of forge is, and with which token it is asked. Both are the
// service's: a ladder names the kind and a repository alone.
type Forge struct {
	URL string
	// TokenFile is read at each request; without one, it is asked anonymously.
	TokenFile string
	// CAFile has the PEM certificates that the forge's certificate must chain to; without
	// one, those of the system count.
	CAFile string
}

// forges are the hosts that ladders may name. The repositories of one share its
// connections and its token's rate limit.
type forges map[ladder.Forge]*scm.Host

// newForges finds at the start what could never work.
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
		return nil, &problem{http.StatusUnprocessableEntity, fmt.Errorf("choosing the forge %s: this service isn't told where it is (--%s-url)", source.Forge, slug(string(source.Forge)))}
	}
	repository, err := host.Repository(source.Repository)
	if err != nil {
		return nil, &problem{http.StatusUnprocessableEntity, err}
	}
	return repository, nil
}
