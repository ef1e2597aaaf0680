package evidence

import (
	"fmt"
	"os"

	"github.com/envladder/envladder/internal/files"
)

// maxKey bounds a key file: RSA-4096 in cosign's encrypted form has 5 KiB.
const maxKey = 64 << 10

// readKeyFile reads the file that --key names, in a form that ReadSigner takes. An
// encrypted key's password is in a variable of the environment.
func readKeyFile(path, passwordEnv string) (*Signer, error) {
	content, err := files.Read(path, maxKey)
	if err != nil {
		return nil, fmt.Errorf("reading --key: %w", err)
	}
	signer, err := ReadSigner(content, func() ([]byte, error) {
		password, ok := os.LookupEnv(passwordEnv)
		if !ok {
			return nil, fmt.Errorf("it is encrypted: set $%s to its password (or to nothing, if that is empty)", passwordEnv)
		}
		return []byte(password), nil
	})
	if err != nil {
		return nil, fmt.Errorf("--key %q: %w", path, err)
	}
	return signer, nil
}
