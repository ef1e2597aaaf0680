package archive

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// blockSize is the size of a block, in bytes. Reading a file unpacks the blocks that contain
// it. A chart of 10,000 files that are scattered on purpose takes 640 MiB to unpack, about as
// much as --max-unpacked permits anyway. Larger blocks don't compress better: Cilium's
// repository takes 29 MB with 64 KiB and with 256 KiB.
const blockSize = 64 << 10

// store has the compressed contents of files in the order of the archive. One goroutine writes
// it; afterwards it is safe for concurrent reads.
type store struct {
	// blocks are compressed blocks of blockSize bytes each. filling is the block after them,
	// not compressed yet.
	blocks  [][]byte
	filling []byte
	scratch []byte

	mu sync.Mutex
	// unpacked is the block with the number at, nil before the first read. The files of a
	// folder are mostly in one block.
	unpacked []byte
	at       int
}

// span is the position and size of a file in a store, in unpacked bytes.
type span struct{ from, size int64 }

func newStore() *store { return &store{filling: make([]byte, 0, blockSize)} }

// put adds the content of r.
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

// seal compresses the full block. The encoder allocates memory for incompressible data, so it
// writes to a buffer that is reused.
func (s *store) seal() {
	s.scratch = packer().EncodeAll(s.filling, s.scratch[:0])
	packed := make([]byte, len(s.scratch))
	copy(packed, s.scratch)
	s.blocks = append(s.blocks, packed)
	s.filling = s.filling[:0]
}

// get returns the content of a span.
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
			return nil, errors.New("unpacking a file in memory: unexpected end of data")
		}
		rest := block[at%blockSize:]
		data = append(data, rest[:min(int64(len(rest)), wanted.size-int64(len(data)))]...)
	}
	return data, nil
}

// block returns an unpacked block. s.mu must be held.
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
		return nil, fmt.Errorf("unpacking a file in memory: %w", err)
	}
	s.unpacked, s.at = unpacked, number
	return unpacked, nil
}

// memorySize returns the memory that the store uses, in bytes.
func (s *store) memorySize() int64 {
	size := int64(cap(s.filling) + cap(s.scratch) + cap(s.unpacked))
	for _, block := range s.blocks {
		size += int64(cap(block))
	}
	return size
}

// packer and unpacker return shared coders: each has a state for every processor.
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
