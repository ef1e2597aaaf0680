package plugin

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/envladder/envladder/plugin/archive"
	"github.com/envladder/envladder/plugin/pluginpb"
)

// receiver is the part of a stream that brings requests.
type receiver interface {
	Recv() (*pluginpb.AppStreamRequest, error)
}

// brokenStreamError is an error of the stream itself. Usually the client has left and doesn't
// wait for an answer.
type brokenStreamError struct{ cause error }

func (e *brokenStreamError) Error() string { return fmt.Sprintf("receiving: %v", e.cause) }
func (e *brokenStreamError) Unwrap() error { return e.cause }

// incoming is a stream whose metadata has been received; the archive follows in chunks. One of
// its methods must read it to the end, even when the archive is rejected or not needed: Argo
// CD reports an answer that arrives while it sends as a bare EOF, without the reason.
type incoming struct {
	metadata *pluginpb.ManifestRequestMetadata
	chunks   *chunkReader
	// asked is the request but for its repository, which goes to place. What is wrong with
	// it is told once the archive is read.
	asked Request
	place repoFS
	wrong error
}

func open(stream receiver) (*incoming, error) {
	first, err := stream.Recv()
	if err != nil {
		return nil, &brokenStreamError{err}
	}
	in := &incoming{metadata: first.GetMetadata(), chunks: &chunkReader{stream: stream, sum: sha256.New()}}
	in.asked, in.place, in.wrong = askedBy(in.metadata)
	return in, nil
}

// request unpacks the archive.
func (in *incoming) request(limits archive.Limits) (Request, error) {
	files, archiveErr := archive.Read(in.chunks, limits)
	if err := in.verify(); err != nil && !isTooLarge(archiveErr) {
		return Request{}, err
	}
	if archiveErr != nil {
		return Request{}, archiveErr
	}
	request, repository := in.asked, in.place
	repository.sent = files
	request.Repository = repository
	return request, in.wrong
}

// verify reads what is left of the archive, and checks that all of it is what was
// announced.
func (in *incoming) verify() error {
	if err := in.chunks.drain(); err != nil {
		return err
	}
	if in.metadata == nil {
		return errors.New("the stream doesn't begin with metadata")
	}
	return in.chunks.check(in.metadata)
}

func isTooLarge(err error) bool {
	var tooLarge *archive.TooLargeError
	return errors.As(err, &tooLarge)
}

// key names all that the answer depends on: what is asked, and what the archive is
// announced to be.
func (in *incoming) key() (string, error) {
	if in.wrong != nil {
		return "", in.wrong
	}
	encoded, err := json.Marshal(in.asked) //nolint:musttag // it is only hashed
	return fmt.Sprintf("%q %q %x", in.metadata.GetChecksum(), in.metadata.GetAppRelPath(), sha256.Sum256(encoded)), err
}

// askedBy is what metadata asks for, but for the repository, which is to come to place.
func askedBy(metadata *pluginpb.ManifestRequestMetadata) (asked Request, place repoFS, err error) {
	env := make(map[string]string, len(metadata.GetEnv()))
	for _, entry := range metadata.GetEnv() {
		env[entry.GetName()] = entry.GetValue()
	}
	asked, parametersErr := requestFrom(func(name string) string { return env[name] })
	place, asked.Dir, err = newRepoFS(nil, metadata.GetAppRelPath(), env[envSourcePath])
	if err == nil && parametersErr != nil {
		err = &parametersError{parametersErr}
	}
	return asked, place, err
}

// parametersError is of an Application's parameters; the rest of its request is whole.
type parametersError struct{ cause error }

func (e *parametersError) Error() string { return e.cause.Error() }
func (e *parametersError) Unwrap() error { return e.cause }

// withoutParameters is err without what is wrong with parameters alone.
func withoutParameters(err error) error {
	if _, ok := errors.AsType[*parametersError](err); ok {
		return nil
	}
	return err
}

// chunkReader is the archive as a reader.
type chunkReader struct {
	stream receiver
	sum    hash.Hash
	size   int64
	rest   []byte
	// strange is set when a message was no chunk.
	strange bool
	// err is what ended the stream.
	err error
}

func (c *chunkReader) Read(p []byte) (int, error) {
	for len(c.rest) == 0 {
		if c.err != nil {
			return 0, c.err
		}
		c.next()
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

func (c *chunkReader) next() {
	message, err := c.stream.Recv()
	switch {
	case errors.Is(err, io.EOF):
		c.err = io.EOF
	case err != nil:
		c.err = &brokenStreamError{err}
	case message.GetFile() == nil:
		c.strange = true
	default:
		c.rest = message.GetFile().GetChunk()
		c.size += int64(len(c.rest))
		c.sum.Write(c.rest)
	}
}

// maxDrained bounds how much is read for the sake of a good error.
const maxDrained = 4 << 30

// drain reads the rest of the stream.
func (c *chunkReader) drain() error {
	for c.err == nil && c.size < maxDrained {
		c.next()
	}
	if errors.Is(c.err, io.EOF) {
		return nil
	}
	if c.err == nil {
		return fmt.Errorf("the archive is larger than %d GiB", maxDrained>>30)
	}
	return c.err
}

// check holds what came against what was announced.
func (c *chunkReader) check(metadata *pluginpb.ManifestRequestMetadata) error {
	if c.strange {
		return errors.New("the stream has something other than the archive's chunks after its metadata")
	}
	if want := metadata.GetSize(); want != 0 && want != c.size {
		return fmt.Errorf("the archive has %d bytes, and %d were announced: it was cut or damaged on the way", c.size, want)
	}
	if got := hex.EncodeToString(c.sum.Sum(nil)); got != metadata.GetChecksum() {
		return fmt.Errorf("the archive's SHA-256 is %s, and %.64q was announced: it was damaged on the way", got, metadata.GetChecksum())
	}
	return nil
}
