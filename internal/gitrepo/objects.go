package gitrepo

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"sync"
)

// maxObject bounds the content of an object: packaged charts have at most 20 MiB.
const maxObject = 32 << 20

// errTooLarge is returned for an object of more than maxObject bytes.
var errTooLarge = fmt.Errorf("it is larger than %d MiB", maxObject>>20)

// errMissing is returned for an object that doesn't exist.
var errMissing = errors.New("git doesn't have it")

// objectReader reads objects with one `git cat-file --batch`, which runs from the first read
// until close or the end of ctx.
type objectReader struct {
	ctx        context.Context
	invocation invocation

	mu     sync.Mutex
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
	stderr *bounded
}

// object is a Git object.
type object struct {
	id, kind string
	size     int64
	// content is empty where the object is larger than maxObject.
	content []byte
}

func newObjectReader(ctx context.Context, i invocation) *objectReader {
	return &objectReader{ctx: ctx, invocation: i}
}

// read returns an object by its ID, or by an expression of `git rev-parse`. For one that is
// too large it returns the size with errTooLarge.
func (r *objectReader) read(name string) (object, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if strings.ContainsAny(name, "\n\x00") {
		return object{}, errMissing
	}
	o, err := r.request(name)
	if err == nil || errors.Is(err, errTooLarge) || errors.Is(err, errMissing) {
		return o, err
	}
	r.stop() // it is out of step: the next read starts it again
	if r.ctx.Err() != nil {
		return object{}, context.Cause(r.ctx)
	}
	return object{}, &Error{Command: "cat-file", Output: errorText(r.stderr.String()), Err: err}
}

func (r *objectReader) request(name string) (object, error) {
	if err := r.start(); err != nil {
		return object{}, err
	}
	if _, err := io.WriteString(r.stdin, name+"\n"); err != nil {
		return object{}, err
	}
	header, err := r.stdout.ReadString('\n')
	if err != nil {
		return object{}, err
	}
	const parts = 3 // ID KIND SIZE
	part := strings.Fields(header)
	if len(part) != parts {
		return object{}, errMissing // "NAME missing"
	}
	o := object{id: part[0], kind: part[1]}
	if o.size, err = strconv.ParseInt(part[2], 10, 64); err != nil {
		return object{}, err
	}
	if o.size > maxObject {
		if _, err = io.CopyN(io.Discard, r.stdout, o.size+1); err != nil {
			return object{}, err
		}
		return o, errTooLarge
	}
	content := bytes.NewBuffer(make([]byte, 0, o.size+1))
	if _, err = io.CopyN(content, r.stdout, o.size+1); err != nil { // with the newline after it
		return object{}, err
	}
	o.content = content.Bytes()[:o.size]
	return o, nil
}

func (r *objectReader) start() (err error) {
	if r.cmd != nil {
		return nil
	}
	cmd := r.invocation.command(r.ctx, "cat-file", "--batch")
	cmd.Stdin = nil
	r.stderr = &bounded{limit: maxComplaint}
	cmd.Stderr = r.stderr
	if r.stdin, err = cmd.StdinPipe(); err != nil {
		return err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	r.stdout = bufio.NewReader(stdout)
	if err = cmd.Start(); err != nil {
		return err
	}
	r.cmd = cmd
	return nil
}

func (r *objectReader) stop() {
	if r.cmd == nil {
		return
	}
	_ = r.stdin.Close()
	_ = r.cmd.Process.Kill() // it only reads, and may be blocked writing
	_ = r.cmd.Wait()         // its messages are in stderr
	r.cmd = nil
}

func (r *objectReader) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stop()
}
