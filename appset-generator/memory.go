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

// held is what is remembered of a pull request: its last images, until newer ones exist.
type held struct {
	// SHA of the commit that the images are of.
	SHA string `json:"sha,omitempty"`
	// Images is the digest by the image's repository, so that an image which the
	// ladder renames or moves isn't mistaken for the one before.
	Images map[string]string `json:"images,omitempty"`
	// In is set while it has a preview.
	In bool `json:"in,omitempty"`
	// Spared is the ladder's max beyond which it keeps its preview, because it wasn't
	// known whether it had one; 0 where it isn't beyond.
	Spared int `json:"spared,omitempty"`
	// Searched is the head whose earlier commits were gone through in vain, SearchedAt
	// when that was.
	Searched   string    `json:"searched,omitempty"`
	SearchedAt time.Time `json:"searchedAt,omitzero"`
	// Head has what was looked up for an answer that couldn't be given; an answer ends it.
	Head lookups `json:"head,omitempty"`
	// Earlier has what was looked up in a search of earlier commits that didn't end.
	Earlier lookups `json:"earlier,omitempty"`
}

// clone returns a copy that can be changed.
func (h held) clone() held {
	h.Head, h.Earlier = maps.Clone(h.Head), maps.Clone(h.Earlier)
	return h
}

// check refuses what isn't ours: images become references of pods.
func (h held) check() error {
	for repository, digest := range h.Images {
		if !digests.Valid(digest) {
			return fmt.Errorf("%.80q isn't a digest (%.200q)", digest, repository)
		}
	}
	for _, seen := range []lookups{h.Head, h.Earlier} {
		for reference, l := range seen {
			if l.Digest != "" && !digests.Valid(l.Digest) {
				return fmt.Errorf("%.80q isn't a digest (%.200q)", l.Digest, reference)
			}
		}
	}
	return nil
}

// remembered is what is remembered of a ladder.
type remembered struct {
	// Answered is set once an answer was given: it is known since then who has a preview.
	Answered bool         `json:"answered,omitempty"`
	Pulls    map[int]held `json:"pulls"`
}

// digests are the images of a ladder by their names; ok is false where one is missing.
func (h held) digests(images []ladder.Image) (found map[string]string, ok bool) {
	found = map[string]string{}
	for _, image := range images {
		digest, ok := h.Images[image.Repository]
		if !ok {
			return nil, false
		}
		found[image.Name] = digest
	}
	return found, h.SHA != ""
}

// spared says whether it keeps its preview beyond a ladder's max. One that was lowered
// since is somebody's will, and takes it.
func (h held) spared(most int) bool { return h.Spared > 0 && most >= h.Spared }

// memory is what is remembered, by ladder and number. A file keeps it over a restart
// where there is one; it is written whole and put in place by its name.
type memory struct {
	file string

	mu      sync.Mutex
	ladders map[string]remembered
}

// maxState bounds the file: an entry has some 500 bytes, and a repository at most some
// thousands of open pull requests.
const maxState = 64 << 20

// stateVersion is of the file's format.
const stateVersion = 2

type state struct {
	Version int                   `json:"version"`
	Ladders map[string]remembered `json:"ladders"`
}

// newMemory reads the file. One that is broken is an error rather than forgotten: what
// it had can't be known otherwise.
func newMemory(file string) (*memory, error) {
	m := &memory{file: file, ladders: map[string]remembered{}}
	if file == "" {
		return m, nil
	}
	data, err := files.Read(file, maxState)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return m, m.save(m.ladders) // now, so that a folder which can't be written is seen
	case err != nil && !errors.As(err, new(*bounded.TooLargeError)):
		return nil, fmt.Errorf("reading the state: %w", err)
	case err == nil:
		m.ladders, err = parseState(data)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the state %q: %w: remove the file to begin anew (previews whose branch was force-pushed a moment ago go away until their image exists)", file, err)
	}
	return m, nil
}

func parseState(data []byte) (map[string]remembered, error) {
	var s state
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, err
	}
	if s.Version != stateVersion {
		return nil, fmt.Errorf("it has version %d, this program writes %d", s.Version, stateVersion)
	}
	for name, l := range s.Ladders {
		for number, h := range l.Pulls {
			if err := h.check(); err != nil {
				return nil, fmt.Errorf("ladder %.80q, pull request %d: %w", name, number, err)
			}
		}
	}
	if s.Ladders == nil {
		s.Ladders = map[string]remembered{}
	}
	return s.Ladders, nil
}

// of returns what is remembered of a ladder; nothing where no request was answered for it,
// or by another process whose memory is gone.
func (m *memory) of(name string) remembered {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ladders[name]
}

// set replaces what is remembered of a ladder. What isn't in it is forgotten.
func (m *memory) set(name string, r remembered) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if reflect.DeepEqual(m.ladders[name], r) {
		return nil
	}
	m.ladders[name] = r
	if m.file == "" {
		return nil
	}
	return m.save(m.ladders)
}

func (m *memory) save(ladders map[string]remembered) error {
	data, err := json.Marshal(state{Version: stateVersion, Ladders: ladders})
	if err == nil {
		err = files.Replace(m.file, data)
	}
	if err != nil {
		return fmt.Errorf("writing the state: %w", err)
	}
	return nil
}
