package ndz

import (
	"bytes"
	"errors"
	"io"

	"github.com/klauspost/compress/zlib"
)

// inflater reads the one zlib stream of a chunk and insists on its length.
type inflater struct {
	src bytes.Reader
	z   io.ReadCloser
}

func (f *inflater) reset(payload []byte) error {
	f.src.Reset(payload)
	var err error
	if f.z == nil {
		f.z, err = zlib.NewReader(&f.src)
	} else {
		err = f.z.(zlib.Resetter).Reset(&f.src, nil)
	}
	if err != nil {
		return f.fault("not a zlib stream", err)
	}
	return nil
}

// fill reads exactly len(p) bytes; total is what the regions add up to.
func (f *inflater) fill(p []byte, total int64) error {
	_, err := io.ReadFull(f.z, p)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF) || err == io.ErrUnexpectedEOF && f.src.Len() == 0:
		return faultf(f.offset(), "compressed stream ends before the %d bytes of the regions", total)
	}
	return f.fault("compressed stream is damaged", err)
}

// finish checks that the stream ends here and with it the payload.
func (f *inflater) finish(total int64) error {
	var one [1]byte
	n, err := f.z.Read(one[:])
	if n > 0 || err == nil {
		return faultf(f.offset(), "compressed stream is longer than the %d bytes of the regions", total)
	}
	if err != io.EOF {
		return f.fault("compressed stream is damaged", err)
	}
	if left := f.src.Len(); left > 0 {
		return faultf(f.offset(), "%d bytes of payload after the compressed stream", left)
	}
	return nil
}

func (f *inflater) offset() int {
	return HeaderAreaBytes + int(f.src.Size()) - f.src.Len()
}

func (f *inflater) fault(reason string, err error) error {
	return &FormatError{Chunk: -1, Offset: f.offset(), Reason: reason, Err: err}
}
