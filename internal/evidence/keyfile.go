package evidence

import (
	"fmt"
	"os"

	"github.com/envladder/envladder/internal/files"
)

// KeyFile is a private key that was read from a file.
type KeyFile struct {
	Signer *Signer
	// Content of the file, from which other secrets may be derived.
	Content []byte
}

// maxKey bounds a key file: RSA-4096 in cosign's encrypted form has 5 KiB.
const maxKey = 64 << 10

// ReadKeyFile reads the file that --key names, in a form that ReadSigner takes. An
// encrypted key's password is in a variable of the environment.
func ReadKeyFile(path, passwordEnv string) (KeyFile, error) {
	content, err := files.Read(path, maxKey)
	if err != nil {
		return KeyFile{}, fmt.Errorf("reading --key: %w", err)
	}
	signer, err := ReadSigner(content, func() ([]byte, error) {
		password, ok := os.LookupEnv(passwordEnv)
		if !ok {
			return nil, fmt.Errorf("it is encrypted: set $%s to its password (or to nothing, if that is empty)", passwordEnv)
		}
		return []byte(password), nil
	})
	if err != nil {
		return KeyFile{}, fmt.Errorf("--key %q: %w", path, err)
	}
	return KeyFile{signer, content}, nil
}
