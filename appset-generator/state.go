package appset

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"reflect"
	"sync"
	"time"

	"github.com/envladder/envladder/internal/bounded"
	"github.com/envladder/envladder/internal/digests"
	"github.com/envladder/envladder/internal/files"
	"github.com/envladder/envladder/internal/ladder"
)

// pullState is the stored state of a pull request: its last images, until newer ones exist.
type pullState struct {
	// SHA of the commit that the images are of.
	SHA string `json:"sha,omitempty"`
	// Images are the digests by repository, so that an image that the ladder renames or
	// moves isn't confused with the previous one.
	Images map[string]string `json:"images,omitempty"`
	// In is set while it has a preview.
	In bool `json:"in,omitempty"`
	// OverMax is the ladder's max that it exceeds with its preview, which stays because it
	// wasn't known who had one; 0 within the max.
	OverMax int `json:"overMax,omitempty"`
	// Searched is the head whose earlier commits were searched without success, SearchedAt
	// when that was.
	Searched   string    `json:"searched,omitempty"`
	SearchedAt time.Time `json:"searchedAt,omitzero"`
	// Head has the lookups of requests that failed; a successful one clears it.
	Head lookups `json:"head,omitempty"`
	// Earlier has the lookups of a search of earlier commits that wasn't finished.
	Earlier lookups `json:"earlier,omitempty"`
}

// clone returns a copy that can be changed.
func (p pullState) clone() pullState {
	p.Head, p.Earlier = maps.Clone(p.Head), maps.Clone(p.Earlier)
	return p
}

// check validates the digests: they become references in pods.
func (p pullState) check() error {
	for repository, digest := range p.Images {
		if !digests.Valid(digest) {
			return fmt.Errorf("%.80q is not a digest (%.200q)", digest, repository)
		}
	}
	for _, seen := range []lookups{p.Head, p.Earlier} {
		for reference, l := range seen {
			if l.Digest != "" && !digests.Valid(l.Digest) {
				return fmt.Errorf("%.80q is not a digest (%.200q)", l.Digest, reference)
			}
		}
	}
	return nil
}

// ladderState is the stored state of a ladder.
type ladderState struct {
	// Answered is set once a request succeeded: since then it is known who has a preview.
	Answered bool              `json:"answered,omitempty"`
	Pulls    map[int]pullState `json:"pulls"`
}

// digests returns the images of a ladder by name; ok is false where one is missing.
func (p pullState) digests(images []ladder.Image) (found map[string]string, ok bool) {
	found = map[string]string{}
	for _, image := range images {
		digest, ok := p.Images[image.Repository]
		if !ok {
			return nil, false
		}
		found[image.Name] = digest
	}
	return found, p.SHA != ""
}

// allowedOverMax reports whether it keeps its preview beyond the ladder's max. A max that
// was lowered since is intended, and removes it.
func (p pullState) allowedOverMax(most int) bool { return p.OverMax > 0 && most >= p.OverMax }

// stateStore stores state by ladder and pull request, in a file if there is one, which is
// replaced atomically.
type stateStore struct {
	file string

	mu      sync.Mutex
	ladders map[string]ladderState
}

// maxState bounds the file: an entry has some 500 bytes, and a repository at most some
// thousands of open pull requests.
const maxState = 64 << 20

// stateVersion is the version of the file's format.
const stateVersion = 2

type stateFile struct {
	Version int                    `json:"version"`
	Ladders map[string]ladderState `json:"ladders"`
}

// newStateStore reads the file. A broken one is an error: its content can't be restored in
// another way.
func newStateStore(file string) (*stateStore, error) {
	s := &stateStore{file: file, ladders: map[string]ladderState{}}
	if file == "" {
		return s, nil
	}
	data, err := files.Read(file, maxState)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return s, s.save(s.ladders) // report at once if the folder can't be written
	case err != nil && !errors.As(err, new(*bounded.TooLargeError)):
		return nil, fmt.Errorf("reading the state: %w", err)
	case err == nil:
		s.ladders, err = parseState(data)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the state %q: %w: remove the file to start again (previews whose branch was just force-pushed are removed until their image exists)", file, err)
	}
	return s, nil
}

func parseState(data []byte) (map[string]ladderState, error) {
	var s stateFile
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, err
	}
	if s.Version != stateVersion {
		return nil, fmt.Errorf("version %d, want %d", s.Version, stateVersion)
	}
	for name, l := range s.Ladders {
		for number, p := range l.Pulls {
			if err := p.check(); err != nil {
				return nil, fmt.Errorf("ladder %.80q, pull request %d: %w", name, number, err)
			}
		}
	}
	if s.Ladders == nil {
		s.Ladders = map[string]ladderState{}
	}
	return s.Ladders, nil
}

// get returns the state of a ladder; it is empty where no request succeeded yet.
func (s *stateStore) get(name string) ladderState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ladders[name]
}

// set replaces the state of a ladder.
func (s *stateStore) set(name string, state ladderState) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if reflect.DeepEqual(s.ladders[name], state) {
		return nil
	}
	s.ladders[name] = state
	if s.file == "" {
		return nil
	}
	return s.save(s.ladders)
}

func (s *stateStore) save(ladders map[string]ladderState) error {
	data, err := json.Marshal(stateFile{Version: stateVersion, Ladders: ladders})
	if err == nil {
		err = files.Replace(s.file, data)
	}
	if err != nil {
		return fmt.Errorf("writing the state: %w", err)
	}
	return nil
}
