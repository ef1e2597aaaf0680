package ladder

import (
	"errors"
	"io/fs"
	"path"
	"strings"
)

// maxLinks bounds how many symbolic links one path may follow, as the Linux kernel does.
const maxLinks = 40

var (
	errLinkLoop = errors.New("follows more than 40 symbolic links: they may form a loop")
	errLinkOut  = errors.New("is a symbolic link that leads outside the repository")
)

// FollowLinks returns the path of dir in fsys with its symbolic links followed. Paths in
// a ladder.yaml are relative to the folder that has the file, however that folder was
// reached: an Application's path may be a link to it. FollowLinks doesn't change elements
// that can't be read, since opening a file below them returns a better error.
func FollowLinks(fsys fs.FS, dir string) (string, error) {
	at, rest, links := ".", strings.Split(path.Clean(dir), "/"), 0
	for len(rest) > 0 {
		element := rest[0]
		rest = rest[1:]
		if element == ".." && at == "." {
			return "", errLinkOut
		}
		next := path.Join(at, element)
		target, ok := readLink(fsys, next)
		if !ok {
			at = next
			continue
		}
		if links++; links > maxLinks {
			return "", errLinkLoop
		}
		if path.IsAbs(target) {
			return "", errLinkOut
		}
		rest = append(strings.Split(path.Clean(target), "/"), rest...)
	}
	return at, nil
}

// readLink returns the target of a symbolic link, and reports whether name is one.
func readLink(fsys fs.FS, name string) (target string, ok bool) {
	info, err := fs.Lstat(fsys, name)
	if err != nil || info.Mode()&fs.ModeSymlink == 0 {
		return "", false
	}
	target, err = fs.ReadLink(fsys, name)
	return target, err == nil
}
