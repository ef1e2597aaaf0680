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
	// parsed is the request without its repository, and repository the file system without
	// its files. parseErr is reported after the archive has been read.
	parsed     Request
	repository repoFS
	parseErr   error
}

// open receives the metadata of a stream.
func open(stream receiver) (*incoming, error) {
	first, err := stream.Recv()
	if err != nil {
		return nil, &brokenStreamError{err}
	}
	in := &incoming{metadata: first.GetMetadata(), chunks: &chunkReader{stream: stream, sum: sha256.New()}}
	in.parsed, in.repository, in.parseErr = parseMetadata(in.metadata)
	return in, nil
}

// request unpacks the archive, and returns the complete request.
func (in *incoming) request(limits archive.Limits) (Request, error) {
	files, archiveErr := archive.Read(in.chunks, limits)
	if err := in.verify(); err != nil && !isTooLarge(archiveErr) {
		return Request{}, err
	}
	if archiveErr != nil {
		return Request{}, archiveErr
	}
	request, repository := in.parsed, in.repository
	repository.sent = files
	request.Repository = repository
	return request, in.parseErr
}

// verify reads the rest of the archive, and checks its size and checksum against the metadata.
func (in *incoming) verify() error {
	if err := in.chunks.drain(); err != nil {
		return err
	}
	if in.metadata == nil {
		return errors.New("the stream doesn't begin with metadata")
	}
	return in.chunks.check(in.metadata)
}

// isTooLarge reports whether the repository exceeds a limit.
func isTooLarge(err error) bool {
	var tooLarge *archive.TooLargeError
	return errors.As(err, &tooLarge)
}

// key returns a key of everything that the answer depends on: the request, and the archive's
// checksum in the metadata.
func (in *incoming) key() (string, error) {
	if in.parseErr != nil {
		return "", in.parseErr
	}
	encoded, err := json.Marshal(in.parsed) //nolint:musttag // it is only hashed
	return fmt.Sprintf("%q %q %x", in.metadata.GetChecksum(), in.metadata.GetAppRelPath(), sha256.Sum256(encoded)), err
}

// parseMetadata returns the request of metadata without its repository, and the repository's
// file system without its files.
func parseMetadata(metadata *pluginpb.ManifestRequestMetadata) (request Request, repository repoFS, err error) {
	env := make(map[string]string, len(metadata.GetEnv()))
	for _, entry := range metadata.GetEnv() {
		env[entry.GetName()] = entry.GetValue()
	}
	request, parametersErr := requestFrom(func(name string) string { return env[name] })
	repository, request.Dir, err = newRepoFS(nil, metadata.GetAppRelPath(), env[envSourcePath])
	if err == nil && parametersErr != nil {
		err = &parametersError{parametersErr}
	}
	return request, repository, err
}

// parametersError reports invalid parameters of an Application. The rest of its request is
// valid.
type parametersError struct{ cause error }

func (e *parametersError) Error() string { return e.cause.Error() }
func (e *parametersError) Unwrap() error { return e.cause }

// ignoreParametersError returns err, nil for a parametersError.
func ignoreParametersError(err error) error {
	if _, ok := errors.AsType[*parametersError](err); ok {
		return nil
	}
	return err
}

// chunkReader reads the archive from the chunks of a stream.
type chunkReader struct {
	stream receiver
	sum    hash.Hash
	size   int64
	rest   []byte
	// unexpected is set if a message wasn't a chunk.
	unexpected bool
	// err ended the stream.
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

// next receives a message.
func (c *chunkReader) next() {
	message, err := c.stream.Recv()
	switch {
	case errors.Is(err, io.EOF):
		c.err = io.EOF
	case err != nil:
		c.err = &brokenStreamError{err}
	case message.GetFile() == nil:
		c.unexpected = true
	default:
		c.rest = message.GetFile().GetChunk()
		c.size += int64(len(c.rest))
		c.sum.Write(c.rest)
	}
}

// maxDrained bounds the bytes that are read only to report an error.
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

// check compares the size and checksum of the archive with those in the metadata.
func (c *chunkReader) check(metadata *pluginpb.ManifestRequestMetadata) error {
	if c.unexpected {
		return errors.New("the stream has other messages than chunks after its metadata")
	}
	if want := metadata.GetSize(); want != 0 && want != c.size {
		return fmt.Errorf("the archive has %d bytes instead of %d: it was truncated or damaged in transit", c.size, want)
	}
	if got := hex.EncodeToString(c.sum.Sum(nil)); got != metadata.GetChecksum() {
		return fmt.Errorf("the archive's SHA-256 is %s instead of %.64q: it was damaged in transit", got, metadata.GetChecksum())
	}
	return nil
}
