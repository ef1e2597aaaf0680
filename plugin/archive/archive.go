// Package archive reads a repository that a repo-server sends, a gzipped tar, into
// memory: bounded in every respect, and such that no path in it leads out of it. Of a
// large repository only what is read is unpacked. What the files are it leaves to others.
package archive

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"unicode/utf8"

	"github.com/envladder/envladder/internal/bounded"
	"github.com/envladder/envladder/internal/printable"
)

// Limits bound what a repo-server may send. A repository beyond them is refused, with
// the limit's flag in the error; one large file alone is left out, and is missed only
// where it is asked for.
type Limits struct {
	// Archive is the size of the gzipped tar, in bytes.
	Archive int64
	// Unpacked is what it unpacks to, in bytes: what is held in memory and what is
	// only read over (.git) together.
	Unpacked int64
	// Ratio is how many times its packed size a repository may unpack to, once that is
	// more than ratioFrom: what packs better is no text that a person wrote.
	Ratio int
	// Entries are files and folders.
	Entries int
	// PathLength is the longest path, in bytes.
	PathLength int
	// File is the largest file that is kept, in bytes.
	File int64
	// Plain is how much of the files' contents is held as it is, in bytes. What comes
	// after it is held packed until it is read. It is no bound: nothing is refused.
	Plain int64
}

// DefaultLimits are the limits unless somebody says otherwise.
var DefaultLimits = Limits{
	// What Argo CD itself allows for the archives that it streams
	// (--streamed-manifest-max-tar-size).
	Archive: 100 << 20,
	// Text packs at five to one; a higher ratio at this size is no GitOps repository.
	Unpacked: 512 << 20,
	// Generated manifests pack at 20 to one.
	Ratio: 100,
	// The source of Linux has fewer than 100,000 files.
	Entries: 100_000,
	// Linux's own, PATH_MAX.
	PathLength: 4096,
	// The largest thing that a render reads is a packaged chart, at most 20 MiB.
	File: 20 << 20,
	// A usual GitOps repository without .git has a few MiB, and isn't worth packing.
	Plain: 8 << 20,
}

// Check refuses limits that nothing is within.
func (l Limits) Check() error {
	for _, limit := range []struct {
		flag  string
		value int64
	}{
		{"--max-archive", l.Archive},
		{"--max-unpacked", l.Unpacked},
		{"--max-ratio", int64(l.Ratio)},
		{"--max-entries", int64(l.Entries)},
		{"--max-path-length", int64(l.PathLength)},
		{"--max-file", l.File},
	} {
		if limit.value < 1 {
			return fmt.Errorf("%s %d: want 1 or more", limit.flag, limit.value)
		}
	}
	return nil
}

// ratioFrom is what a repository may unpack to, in bytes, before its ratio counts: a
// small one that packs well costs nothing.
const ratioFrom = 16 << 20

// Read reads a gzipped tar into memory. Folders named .git are left out: Argo CD sends
// them, and nothing reads them. So are files whose name isn't UTF-8, as no ladder can
// name them. Symbolic links are kept, and followed inside the archive only. All names
// are there at once; a content that is held packed is unpacked each time that its file
// is opened. The error is a *TooLargeError where a limit is exceeded.
func Read(r io.Reader, limits Limits) (fs.FS, error) {
	packed := bounded.NewReader(r, limits.Archive, tooLarge("packs to", limits.Archive, "--max-archive"))
	unzipped, err := gzip.NewReader(packed)
	if err != nil {
		return nil, fmt.Errorf("unpacking the archive: reading gzip: %w", err)
	}
	files, err := untar(&ratioReader{r: unzipped, packed: packed, limit: int64(limits.Ratio)}, limits)
	if err != nil {
		return nil, fmt.Errorf("unpacking the archive: %w", err)
	}
	return files, nil
}

func untar(r io.Reader, limits Limits) (*tree, error) {
	unpacked := bounded.NewReader(r, limits.Unpacked, tooLarge("unpacks to", limits.Unpacked, "--max-unpacked"))
	u := untarrer{tar: tar.NewReader(unpacked), limits: limits, tree: newTree()}
	return u.tree, u.run()
}

func tooLarge(what string, limit int64, flag string) error {
	return &TooLargeError{fmt.Sprintf("the repository %s more than %d MiB (%s), .git included: let the repo-server send less (--plugin-tar-exclude '.git/**'), or only the paths in the Application's annotation argocd.argoproj.io/manifest-generate-paths (--plugin-use-manifest-generate-paths)",
		what, limit>>20, flag)}
}

// TooLargeError is of what goes beyond a limit.
type TooLargeError struct{ message string }

func (e *TooLargeError) Error() string { return e.message }

type untarrer struct {
	tar     *tar.Reader
	limits  Limits
	tree    *tree
	entries int
	// kept is what is held in memory, as if it were unpacked. It is counted apart from
	// what is read, since a sparse file takes no bytes in the archive.
	kept int64
	// plain is how much is held as it is, in bytes.
	plain int64
}

func (u *untarrer) run() error {
	for {
		header, err := u.tar.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if err := u.entry(header); err != nil {
			return fmt.Errorf("%s: %w", printable.Quote(header.Name, maxShownName), err)
		}
		// A long path makes many folders at once, so those count too.
		if u.entries++; max(u.entries, len(u.tree.nodes)) > u.limits.Entries {
			return &TooLargeError{fmt.Sprintf("the repository has more than %d files and folders (--max-entries)", u.limits.Entries)}
		}
	}
}

func (u *untarrer) entry(header *tar.Header) error {
	name, err := u.name(header)
	if err != nil {
		return err
	}
	if inGit(name) || !utf8.ValidString(name) {
		return nil
	}
	if err := u.keep(int64(len(header.Name) + len(header.Linkname))); err != nil {
		return err
	}
	switch header.Typeflag {
	case tar.TypeDir:
		return u.tree.add(name, newFolder(name))
	case tar.TypeSymlink:
		return u.tree.add(name, &node{mode: fs.ModeSymlink, link: header.Linkname})
	case tar.TypeReg:
		return u.file(name, header.Size)
	case tar.TypeLink:
		return errors.New("it is a hard link, which Argo CD never sends")
	default:
		return fmt.Errorf("it is a device, a FIFO or the like (type %q), which Argo CD never sends", header.Typeflag)
	}
}

// name is where the entry goes in the tree. Argo CD writes clean relative names.
func (u *untarrer) name(header *tar.Header) (string, error) {
	if most := u.limits.PathLength; len(header.Name) > most || len(header.Linkname) > most {
		return "", fmt.Errorf("its path is longer than %d bytes (--max-path-length)", most)
	}
	name := strings.TrimSuffix(header.Name, "/")
	if name == "" || path.IsAbs(name) || hasDotDot(name) {
		return "", errors.New("its path leads out of the archive")
	}
	return path.Clean(name), nil
}

func hasDotDot(name string) bool {
	for element := range strings.SplitSeq(name, "/") {
		if element == ".." {
			return true
		}
	}
	return false
}

func inGit(name string) bool {
	for element := range strings.SplitSeq(name, "/") {
		if element == ".git" {
			return true
		}
	}
	return false
}

func (u *untarrer) file(name string, size int64) error {
	if size > u.limits.File {
		return u.tree.add(name, &node{refused: fmt.Errorf("it is larger than %d MiB (--max-file)", u.limits.File>>20)})
	}
	if err := u.keep(size); err != nil {
		return err
	}
	if u.plain+size > u.limits.Plain {
		packed, err := u.tree.store.put(io.LimitReader(u.tar, size))
		if err != nil {
			return err
		}
		return u.tree.add(name, &node{packed: packed})
	}
	u.plain += size
	data, err := io.ReadAll(io.LimitReader(u.tar, size))
	if err != nil {
		return err
	}
	return u.tree.add(name, &node{data: data})
}

// keep counts what is held in memory.
func (u *untarrer) keep(size int64) error {
	if u.kept += size; u.kept > u.limits.Unpacked {
		return tooLarge("unpacks to", u.limits.Unpacked, "--max-unpacked")
	}
	return nil
}

// ratioReader fails once what was packed unpacks to more than limit times its size.
type ratioReader struct {
	r      io.Reader
	packed *bounded.Reader
	limit  int64
	read   int64
}

func (r *ratioReader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if r.read += int64(n); r.read > ratioFrom && r.read/r.limit > r.packed.Count() {
		return 0, &TooLargeError{fmt.Sprintf("the repository unpacks to more than %d times its packed size (--max-ratio): that is no text that a person wrote", r.limit)}
	}
	return n, err
}

// maxShownName bounds the name of a file in an error.
const maxShownName = 200
