package archive

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/fstest"
)

// tarOf returns a tar of files, which are given as alternating names and contents.
func tarOf(t *testing.T, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		if err := w.WriteHeader(&tar.Header{Name: files[i], Typeflag: tar.TypeReg, Mode: 0o600, Size: int64(len(files[i+1]))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(files[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// checkSame checks that an archive results in the same files and the same error with limits
// that differ in which files are compressed.
func checkSame(t *testing.T, tarred []byte, a, b Limits) {
	t.Helper()
	treeA, errA := untar(bytes.NewReader(tarred), a)
	treeB, errB := untar(bytes.NewReader(tarred), b)
	if fmt.Sprint(errA) != fmt.Sprint(errB) {
		t.Fatalf("error %v and %v", errA, errB)
	}
	if errA != nil {
		return
	}
	if len(treeA.nodes) != len(treeB.nodes) {
		t.Fatalf("%d and %d nodes", len(treeA.nodes), len(treeB.nodes))
	}
	for name, nodeA := range treeA.nodes {
		nodeB := treeB.nodes[name]
		if nodeB == nil || nodeA.mode != nodeB.mode || nodeA.link != nodeB.link || nodeA.Size() != nodeB.Size() || len(nodeA.children) != len(nodeB.children) {
			t.Fatalf("%q is %v and %v", name, nodeA, nodeB)
		}
		dataA, errA := fs.ReadFile(treeA, name)
		dataB, errB := fs.ReadFile(treeB, name)
		if fmt.Sprint(errA) != fmt.Sprint(errB) || !bytes.Equal(dataA, dataB) {
			t.Fatalf("reading %q: %d bytes, %v, and %d bytes, %v", name, len(dataA), errA, len(dataB), errB)
		}
	}
}

func noise(size int, seed byte) string {
	data := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(data) // never fails
	return string(data)
}

func TestPackedFilesReadUnchanged(t *testing.T) {
	var files []string
	for i, size := range []int{0, 1, blockSize - 1, 0, blockSize, blockSize + 1, 3*blockSize + 7, 100} {
		files = append(files, fmt.Sprintf("noise/%d", i), noise(size, byte(i)), fmt.Sprintf("text/%d", i), string(bytes.Repeat([]byte("replicas: 3\n"), size/12)))
	}
	tarred := tarOf(t, files...)
	plain := DefaultLimits
	for _, most := range []int64{0, 1, blockSize, 2 * blockSize, 5 * blockSize} {
		t.Run(fmt.Sprintf("after %d bytes", most), func(t *testing.T) {
			packed := plain
			packed.Plain = most
			checkSame(t, tarred, plain, packed)
		})
	}
	packed := plain
	packed.Plain = 0
	tree, err := untar(bytes.NewReader(tarred), packed)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("file system", func(t *testing.T) {
		if err := fstest.TestFS(tree, "noise/6", "text/0", "text/6"); err != nil {
			t.Error(err)
		}
	})
	t.Run("concurrent readers", func(t *testing.T) {
		var readers sync.WaitGroup
		for first := range 8 {
			readers.Go(func() {
				for i := range len(files) / 2 {
					at := 2 * ((first + i) % (len(files) / 2))
					if got, err := fs.ReadFile(tree, files[at]); err != nil || string(got) != files[at+1] {
						t.Errorf("%q: %d bytes, error %v", files[at], len(got), err)
					}
				}
			})
		}
		readers.Wait()
	})
}

// The last file of a name wins, also where only one of them is packed.
func TestLastFileOfNameWins(t *testing.T) {
	limits := DefaultLimits
	limits.Plain = 10
	for want, files := range map[string][]string{
		"the last":                  {"a", "a long one that is packed", "a", "the last"},
		"a last one that is packed": {"a", "short", "a", "a last one that is packed"},
		"":                          {"a", "a long one that is packed", "a", ""},
	} {
		tree, err := untar(bytes.NewReader(tarOf(t, files...)), limits)
		if err != nil {
			t.Fatal(err)
		}
		got, err := fs.ReadFile(tree, "a")
		if err != nil || string(got) != want || tree.nodes["a"].Size() != int64(len(want)) {
			t.Errorf("got %q, error %v, want %q", got, err, want)
		}
	}
}

// The repository has 100 MiB of manifests that no one reads.
func TestLargeRepositoryStaysPacked(t *testing.T) {
	var services bytes.Buffer
	numbers := rand.New(rand.NewPCG(1, 2))
	for i := range 3000 {
		fmt.Fprintf(&services, "apiVersion: v1\nkind: Service\nmetadata: {name: service-%d, namespace: team-%d}\nspec:\n  selector: {app: service-%d}\n  ports:\n  - {name: http, port: %d, targetPort: http}\n---\n", i, i%40, i, numbers.IntN(65536))
	}
	// all files have the same text; a block spans at most two of them
	files := []string{"shop/ladder.yaml", "kind: Ladder\n"}
	total := 0
	for i := 0; total < 100<<20; i++ {
		files = append(files, fmt.Sprintf("teams/%d/services.yaml", i), services.String())
		total += services.Len()
	}
	tree, err := untar(bytes.NewReader(tarOf(t, files...)), DefaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	var plain int64
	for _, n := range tree.nodes {
		plain += int64(cap(n.data))
	}
	if plain > DefaultLimits.Plain*5/4 {
		t.Errorf("%d bytes are stored uncompressed", plain)
	}
	if size := tree.store.memorySize(); size > int64(total)/5 {
		t.Errorf("%d bytes of %d are stored compressed", size, total)
	}
	before := tree.store.memorySize()
	for _, name := range []string{files[0], files[len(files)-2]} {
		if _, err := fs.ReadFile(tree, name); err != nil {
			t.Error(err)
		}
	}
	if more := tree.store.memorySize() - before; more > 2*blockSize {
		t.Errorf("reading two files takes %d bytes more", more)
	}
	t.Logf("%d bytes: %d are stored uncompressed, the others in %d", total, plain, tree.store.memorySize())
}
