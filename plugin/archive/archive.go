// Package archive reads a repository that a repo-server sends, a gzipped tar, into memory. It
// bounds the sizes and numbers of everything in the archive, and rejects paths that lead out
// of it. Large repositories stay compressed in memory, and only files that are read are
// unpacked. The package doesn't interpret files.
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

// Limits bound the archive that a repo-server may send. A repository beyond them is rejected
// with the limit's flag in the error. A file beyond File is skipped, and opening it fails.
type Limits struct {
	// Archive is the size of the gzipped tar, in bytes.
	Archive int64
	// Unpacked is its unpacked size, in bytes, including skipped files (.git).
	Unpacked int64
	// Ratio is the maximum ratio of the unpacked to the packed size of a repository larger
	// than ratioFrom: text written by people doesn't compress better.
	Ratio int
	// Entries is the number of files and folders.
	Entries int
	// PathLength is the length of the longest path, in bytes.
	PathLength int
	// File is the size of the largest file that is stored, in bytes.
	File int64
	// Plain is the size of the contents that are stored uncompressed, in bytes. Further
	// contents are stored compressed. It rejects nothing.
	Plain int64
}

// DefaultLimits are the limits unless flags set others.
var DefaultLimits = Limits{
	// Argo CD's own limit for the archives that it streams (--streamed-manifest-max-tar-size).
	Archive: 100 << 20,
	// Text compresses five to one; no GitOps repository of this size has a higher ratio.
	Unpacked: 512 << 20,
	// Generated manifests compress 20 to one.
	Ratio: 100,
	// The source of Linux has fewer than 100,000 files.
	Entries: 100_000,
	// Linux's own, PATH_MAX.
	PathLength: 4096,
	// The largest file that a render reads is a packaged chart, at most 20 MiB.
	File: 20 << 20,
	// A usual GitOps repository without .git has a few MiB, and isn't worth compressing.
	Plain: 8 << 20,
}

// Check rejects limits below 1.
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

// ratioFrom is the unpacked size, in bytes, from which on the ratio is checked: a small
// repository is harmless.
const ratioFrom = 16 << 20

// Read reads a gzipped tar into memory. It skips folders named .git, which Argo CD sends and
// nothing reads, and files whose name isn't UTF-8, since no ladder can name them. The file
// system follows symbolic links inside the archive only, and unpacks compressed content each
// time that a file is opened. The error is a *TooLargeError where a limit is exceeded.
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

// untar reads a tar into a tree.
func untar(r io.Reader, limits Limits) (*tree, error) {
	unpacked := bounded.NewReader(r, limits.Unpacked, tooLarge("unpacks to", limits.Unpacked, "--max-unpacked"))
	u := untarrer{tar: tar.NewReader(unpacked), limits: limits, tree: newTree()}
	return u.tree, u.run()
}

// tooLarge returns the error for a repository beyond a size limit.
func tooLarge(what string, limit int64, flag string) error {
	return &TooLargeError{fmt.Sprintf("the repository %s more than %d MiB (%s), .git included: make the repo-server send less (--plugin-tar-exclude '.git/**'), or only the paths in the Application's annotation argocd.argoproj.io/manifest-generate-paths (--plugin-use-manifest-generate-paths)",
		what, limit>>20, flag)}
}

// TooLargeError reports a repository that exceeds a limit.
type TooLargeError struct{ message string }

func (e *TooLargeError) Error() string { return e.message }

// untarrer reads the entries of a tar into a tree.
type untarrer struct {
	tar     *tar.Reader
	limits  Limits
	tree    *tree
	entries int
	// stored is the unpacked size of what is in memory, in bytes. It is counted separately from
	// the bytes read, since a sparse file takes no bytes in the archive.
	stored int64
	// plain is the size of the contents that are stored uncompressed, in bytes.
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
		// folders that a long path implies count too
		if u.entries++; max(u.entries, len(u.tree.nodes)) > u.limits.Entries {
			return &TooLargeError{fmt.Sprintf("the repository has more than %d files and folders (--max-entries)", u.limits.Entries)}
		}
	}
}

// entry adds an entry to the tree.
func (u *untarrer) entry(header *tar.Header) error {
	name, err := u.name(header)
	if err != nil {
		return err
	}
	if inGit(name) || !utf8.ValidString(name) {
		return nil
	}
	if err := u.reserve(int64(len(header.Name) + len(header.Linkname))); err != nil {
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

// name returns the entry's path in the tree. Argo CD writes clean relative names.
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

// file adds a file with the content that follows in the tar.
func (u *untarrer) file(name string, size int64) error {
	if size > u.limits.File {
		return u.tree.add(name, &node{refused: fmt.Errorf("it is larger than %d MiB (--max-file)", u.limits.File>>20)})
	}
	if err := u.reserve(size); err != nil {
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

// reserve counts bytes that are stored in memory.
func (u *untarrer) reserve(size int64) error {
	if u.stored += size; u.stored > u.limits.Unpacked {
		return tooLarge("unpacks to", u.limits.Unpacked, "--max-unpacked")
	}
	return nil
}

// ratioReader reads unpacked data, and fails once it has more than limit times the packed size.
type ratioReader struct {
	r      io.Reader
	packed *bounded.Reader
	limit  int64
	read   int64
}

func (r *ratioReader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if r.read += int64(n); r.read > ratioFrom && r.read/r.limit > r.packed.Count() {
		return 0, &TooLargeError{fmt.Sprintf("the repository unpacks to more than %d times its packed size (--max-ratio), which is too much for text files", r.limit)}
	}
	return n, err
}

// maxShownName bounds the name of a file in an error.
const maxShownName = 200
