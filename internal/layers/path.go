package layers

import (
	"errors"
	"regexp"
	"strconv"

	"github.com/envladder/envladder/internal/strictyaml"
)

// PathText writes a path of keys as faults do: a.b, and a["b.c"] for a key that isn't a
// plain word.
func PathText(path []string) string {
	text := ""
	for _, key := range path {
		text = strictyaml.Key(text, key)
	}
	return text
}

// element is the next element of a path: a plain key, ["a quoted one"], or an index [0].
var element = regexp.MustCompile(`^\.?([^.\[\]"]+)|^\[("(?:[^"\\]|\\.)*")\]|^\[([0-9]+)\]`)

// ParsePath reads a path as PathText writes it, with indexes of lists such as hosts[0]
// too. "." and the empty path are the whole.
func ParsePath(text string) ([]string, error) {
	if text == "." {
		return nil, nil
	}
	var path []string
	for rest := text; rest != ""; {
		found := element.FindStringSubmatch(rest)
		if found == nil || found[0][0] == '.' && len(path) == 0 {
			return nil, errors.New(`it isn't a path of values, such as image.digest, hosts[0] or annotations["example.com/a"]`)
		}
		rest = rest[len(found[0]):]
		switch {
		case found[2] != "":
			key, err := strconv.Unquote(found[2])
			if err != nil {
				return nil, errors.New("its quoted key can't be read")
			}
			path = append(path, key)
		default:
			path = append(path, found[1]+found[3])
		}
	}
	return path, nil
}
