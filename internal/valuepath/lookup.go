package valuepath

import "strconv"

// Lookup returns the value at a path, through mappings and lists. ok is false where there is
// none.
func Lookup(value any, path []string) (found any, ok bool) {
	for _, element := range path {
		switch v := value.(type) {
		case map[string]any:
			next, ok := v[element]
			if !ok {
				return nil, false
			}
			value = next
		case []any:
			i, err := strconv.Atoi(element)
			if err != nil || i < 0 || i >= len(v) {
				return nil, false
			}
			value = v[i]
		default:
			return nil, false
		}
	}
	return value, true
}
