package archive

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
)

func newTestTree(t *testing.T, nodes map[string]*node) *tree {
	t.Helper()
	tree := newTree()
	for _, name := range []string{"dir", "dir/sub", "dir/sub/file", "dir/up", "link", "file", "abs", "loop", "escape", "hidden"} {
		if n := nodes[name]; n != nil {
			if err := tree.add(name, n); err != nil {
				t.Fatal(err)
			}
		}
	}
	return tree
}

func link(to string) *node { return &node{mode: fs.ModeSymlink, link: to} }

func TestTree(t *testing.T) {
	t.Run("file system", func(t *testing.T) {
		tree := newTestTree(t, map[string]*node{"dir/sub/file": {data: []byte("deep")}, "file": {data: []byte("flat")}})
		if err := fstest.TestFS(tree, "dir/sub/file", "file"); err != nil {
			t.Error(err)
		}
	})
	tree := newTestTree(t, map[string]*node{
		"dir/sub/file": {data: []byte("deep")},
		"dir/up":       link("../link/sub/../sub"),
		"link":         link("./dir/"),
		"abs":          link("/dir"),
		"loop":         link("loop"),
		"escape":       link("dir/../../file"),
		"hidden":       link("missing"),
	})
	for name, want := range map[string]error{
		"dir/sub/file":         nil,
		"link/sub/file":        nil,
		"dir/up/file":          nil,
		"link/up/file":         nil,
		"abs/sub/file":         errLinkEscape,
		"loop":                 errLinkLoop,
		"escape":               errLinkEscape,
		"hidden":               fs.ErrNotExist,
		"dir/sub/file/further": fs.ErrNotExist,
		"dir/../dir":           fs.ErrInvalid,
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := fs.Stat(tree, name); !errors.Is(err, want) {
				t.Errorf("stat: %v, want %v", err, want)
			}
			data, err := fs.ReadFile(tree, name)
			if !errors.Is(err, want) || want == nil && string(data) != "deep" {
				t.Errorf("read: %q, %v, want %v", data, err, want)
			}
		})
	}
}

// FuzzUntar checks that any input is rejected or results in a file system within the limits,
// and that the result doesn't depend on which files are compressed.
func FuzzUntar(f *testing.F) {
	limits := Limits{Archive: 1 << 20, Unpacked: 1 << 16, Ratio: 100, PathLength: 4096, Entries: 50, File: 1 << 14}
	seed := func(headers ...*tar.Header) {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for _, h := range headers {
			if err := w.WriteHeader(h); err != nil {
				f.Fatal(err)
			}
			if _, err := w.Write(make([]byte, h.Size)); err != nil {
				f.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	seed(&tar.Header{Name: "a/b", Typeflag: tar.TypeReg, Size: 3}, &tar.Header{Name: "a/", Typeflag: tar.TypeDir})
	seed(&tar.Header{Name: "l", Typeflag: tar.TypeSymlink, Linkname: "../../x"}, &tar.Header{Name: "l/x", Typeflag: tar.TypeReg})
	seed(&tar.Header{Name: "../a", Typeflag: tar.TypeReg}, &tar.Header{Name: "h", Typeflag: tar.TypeLink, Linkname: "a"})
	seed(&tar.Header{Name: "a", Typeflag: tar.TypeReg, Size: 1900}, &tar.Header{Name: "a", Typeflag: tar.TypeReg, Size: 200}, &tar.Header{Name: "b", Typeflag: tar.TypeReg, Size: 70})
	seed(&tar.Header{Name: ".git/x", Typeflag: tar.TypeReg, Size: 9}, &tar.Header{Name: ".", Typeflag: tar.TypeDir})
	f.Fuzz(func(t *testing.T, tarred []byte) {
		tree, err := untar(bytes.NewReader(tarred), limits)
		mixed := limits
		mixed.Plain = 2000
		checkSame(t, tarred, limits, mixed)
		if err != nil {
			return
		}
		var stored int64
		for name, n := range tree.nodes {
			if !fs.ValidPath(name) || inGit(name) {
				t.Errorf("the tree has the path %q", name)
			}
			stored += n.Size()
		}
		if stored > limits.Unpacked || len(tree.nodes) > limits.Entries {
			t.Errorf("the tree has %d bytes in %d nodes", stored, len(tree.nodes))
		}
		for name, n := range tree.nodes { // resolving a link ends
			if n.link != "" {
				_, err := fs.Stat(tree, name)
				t.Log(name, err)
			}
		}
	})
}

func TestReadRejectsHighRatio(t *testing.T) {
	for name, test := range map[string]struct {
		size int
		want string
	}{
		"small archive": {ratioFrom / 2, ""},
		"large archive": {ratioFrom + 1<<20, "more than 100 times its packed size (--max-ratio)"},
	} {
		t.Run(name, func(t *testing.T) {
			var packed bytes.Buffer
			zip := gzip.NewWriter(&packed)
			w := tar.NewWriter(zip)
			if err := w.WriteHeader(&tar.Header{Name: ".git/pack", Mode: 0o644, Size: int64(test.size)}); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(make([]byte, test.size)); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(w.Close(), zip.Close()); err != nil {
				t.Fatal(err)
			}
			_, err := Read(&packed, DefaultLimits)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}
