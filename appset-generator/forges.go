package appset

import (
	"fmt"
	"net/http"
	"sync"

	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/scm"
)

// Forge is where a kind of forge is, and with which token it is asked. Both are the
// service's: a ladder names the kind and a repository alone.
type Forge struct {
	URL string
	// TokenFile is read at each request; without one, it is asked anonymously.
	TokenFile string
}

// forges have the repositories that were asked for, with their connections.
type forges struct {
	configured map[ladder.Forge]Forge

	mu    sync.Mutex
	known map[ladder.Source]scm.Repository
}

func (f *forges) repository(source ladder.Source) (scm.Repository, error) {
	forge, ok := f.configured[source.Forge]
	if !ok {
		return nil, &problem{http.StatusUnprocessableEntity, fmt.Errorf("choosing the forge %s: this service isn't told where it is (--%s-url)", source.Forge, slug(string(source.Forge)))}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if r, ok := f.known[source]; ok {
		return r, nil
	}
	r, err := open(forge, source)
	if err != nil {
		return nil, &problem{http.StatusUnprocessableEntity, err}
	}
	if f.known == nil {
		f.known = map[ladder.Source]scm.Repository{}
	}
	f.known[source] = r
	return r, nil
}

func open(forge Forge, source ladder.Source) (scm.Repository, error) {
	options := scm.Options{Forge: scm.Forge(source.Forge), URL: forge.URL, Repository: source.Repository}
	if forge.TokenFile != "" {
		options.Token = func() (string, error) { return ReadToken(forge.TokenFile) }
	}
	return scm.New(options)
}

// check finds at the start what could never work.
func (f *forges) check() error {
	for kind, forge := range f.configured {
		if _, err := open(forge, ladder.Source{Forge: kind, Repository: "owner/name"}); err != nil {
			return err
		}
		if forge.TokenFile == "" {
			continue
		}
		if _, err := ReadToken(forge.TokenFile); err != nil {
			return err
		}
	}
	return nil
}
