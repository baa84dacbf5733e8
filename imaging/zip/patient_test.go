package zip_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"hyzer/imaging/zip"
)

// badDisk fails every read that touches one sector.
type badDisk struct {
	*bytes.Reader
	bad int64
}

func (d badDisk) ReadAt(p []byte, offset int64) (int, error) {
	if offset < (d.bad+1)*512 && offset+int64(len(p)) > d.bad*512 {
		return 0, errors.New("medium error")
	}
	return d.Reader.ReadAt(p, offset)
}

// TestPatient reads around a bad sector, also in the middle of the last read.
func TestPatient(t *testing.T) {
	t.Parallel()
	data := bytes.Repeat([]byte{7}, 10*512+100)
	for _, c := range []struct {
		bad    int64
		offset int64
		size   int
		n      int
		err    error
		warned int
	}{
		{3, 0, 512 * 10, 512 * 10, nil, 1},
		{3, 512 * 4, 512, 512, nil, 0},
		{10, 512 * 8, 512 * 3, 512*2 + 100, io.EOF, 1},
		{2, 512, 512 * 20, 512*9 + 100, io.EOF, 1},
	} {
		warned := 0
		src := zip.Patient(zip.Source{ReaderAt: badDisk{bytes.NewReader(data), c.bad}, Bytes: int64(len(data))}, func(string) { warned++ })
		got := make([]byte, c.size)
		n, err := src.ReadAt(got, c.offset)
		if n != c.n || err != c.err || warned != c.warned {
			t.Errorf("sector %d, %+d: %d bytes, %v, %d warnings; want %+v", c.bad, c.offset, n, err, warned, c)
		}
		want := bytes.Clone(data)
		clear(want[c.bad*512 : min(int(c.bad+1)*512, len(want))])
		if !bytes.Equal(got[:n], want[c.offset:][:n]) {
			t.Errorf("sector %d, %+d: wrong data", c.bad, c.offset)
		}
	}
}
