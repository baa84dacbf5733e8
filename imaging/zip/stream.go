package zip

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"hyzer/imaging/partition/scheme"
)

// outDevice is an output that is no regular file: a pipe, a terminal, a device.
type outDevice struct {
	*os.File
	claim io.Closer // nil: it cannot be mounted
}

// openDevice opens an output that is written as it is. A disk that is in use is
// scheme.ErrBusy.
func openDevice(path string) (*outDevice, error) {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	claim, err := scheme.Claim(f, nil)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &outDevice{f, claim}, nil
}

// Close makes what a disk was given durable.
func (d *outDevice) Close() error {
	err := d.Sync()
	if errors.Is(err, unix.EINVAL) { // not a disk
		err = nil
	}
	if d.claim != nil {
		err = errors.Join(err, d.claim.Close())
	}
	return errors.Join(err, d.File.Close())
}
