package archive

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// blockSize is what is packed at a time, in bytes. To read one file takes unpacking the
// blocks that it is in, so a chart of 10,000 files that are scattered on purpose makes
// 640 MiB to unpack, about what --max-unpacked lets a repository make anyway. Larger
// blocks pack no better: Cilium's repository is 29 MB by 64 KiB and by 256 KiB.
const blockSize = 64 << 10

// store holds the contents of files packed, in the order of the archive, and unpacks
// those that are asked for. It is written by one, and then read by any number.
type store struct {
	// blocks are packed, and each unpacks to blockSize bytes. filling comes after them.
	blocks  [][]byte
	filling []byte
	scratch []byte

	mu sync.Mutex
	// unpacked is the block of number at; nil where none is. A folder's files are
	// mostly in one block.
	unpacked []byte
	at       int
}

// span is where a file is in a store, in bytes of what is unpacked.
type span struct{ from, size int64 }

func newStore() *store { return &store{filling: make([]byte, 0, blockSize)} }

// put adds what r has.
func (s *store) put(r io.Reader) (span, error) {
	put := span{from: int64(len(s.blocks))*blockSize + int64(len(s.filling))}
	for {
		n, err := r.Read(s.filling[len(s.filling):blockSize])
		s.filling = s.filling[:len(s.filling)+n]
		put.size += int64(n)
		if len(s.filling) == blockSize {
			s.seal()
		}
		switch {
		case errors.Is(err, io.EOF):
			return put, nil
		case err != nil:
			return span{}, err
		}
	}
}

// seal packs the block that is full. The encoder takes room for what doesn't pack at
// all, so it writes to a place that is used again.
func (s *store) seal() {
	s.scratch = packer().EncodeAll(s.filling, s.scratch[:0])
	packed := make([]byte, len(s.scratch))
	copy(packed, s.scratch)
	s.blocks = append(s.blocks, packed)
	s.filling = s.filling[:0]
}

// get is what was put at a span.
func (s *store) get(wanted span) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	data := make([]byte, 0, wanted.size)
	for int64(len(data)) < wanted.size {
		at := wanted.from + int64(len(data))
		block, err := s.block(int(at / blockSize))
		if err != nil {
			return nil, err
		}
		if at%blockSize >= int64(len(block)) {
			return nil, errors.New("unpacking what was packed in memory: it ends too early")
		}
		rest := block[at%blockSize:]
		data = append(data, rest[:min(int64(len(rest)), wanted.size-int64(len(data)))]...)
	}
	return data, nil
}

func (s *store) block(number int) ([]byte, error) {
	if number == len(s.blocks) {
		return s.filling, nil
	}
	if s.unpacked != nil && s.at == number {
		return s.unpacked, nil
	}
	unpacked, err := unpacker().DecodeAll(s.blocks[number], s.unpacked[:0])
	if err != nil {
		s.unpacked = nil
		return nil, fmt.Errorf("unpacking what was packed in memory: %w", err)
	}
	s.unpacked, s.at = unpacked, number
	return unpacked, nil
}

// held is the memory that it takes, in bytes.
func (s *store) held() int64 {
	held := int64(cap(s.filling) + cap(s.scratch) + cap(s.unpacked))
	for _, block := range s.blocks {
		held += int64(cap(block))
	}
	return held
}

// packer and unpacker are shared: each keeps a state for every processor.
var (
	packer = sync.OnceValue(func() *zstd.Encoder {
		encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(blockSize), zstd.WithEncoderCRC(false))
		if err != nil {
			panic(fmt.Sprintf("the encoder's options are constant: %v", err))
		}
		return encoder
	})
	unpacker = sync.OnceValue(func() *zstd.Decoder {
		decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0))
		if err != nil {
			panic(fmt.Sprintf("the decoder's options are constant: %v", err))
		}
		return decoder
	})
)
