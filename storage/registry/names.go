package registry

import (
	"encoding/hex"
	"fmt"
	"math"
	"net"
	"strconv"
	"strings"
)

// nameBytesMax bounds every identifier. Emulab's columns hold 32; names such
// as image names hold more.
const nameBytesMax = 64

// CheckName says whether s may name a record: letters, digits, '_', '-', '.',
// '+', not beginning with '-' or '.', so that it is safe in a file path, a
// host name or a line of text.
func CheckName(s string) error {
	if s == "" || len(s) > nameBytesMax {
		return fmt.Errorf("name %.70q: want 1 to %d characters", s, nameBytesMax)
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '+':
		case (c == '-' || c == '.') && i > 0:
		default:
			return fmt.Errorf("name %q: character %q is not allowed", s, c)
		}
	}
	return nil
}

// MAC is an Ethernet address. The zero MAC means none.
type MAC [6]byte

// ParseMAC accepts 12 hex digits (as Emulab stores them) or the usual forms
// with ':' or '-'.
func ParseMAC(s string) (MAC, error) {
	var m MAC
	if len(s) == 12 {
		if _, err := hex.Decode(m[:], []byte(s)); err != nil {
			return MAC{}, fmt.Errorf("MAC address %q: %w", s, err)
		}
		return m, nil
	}
	hw, err := net.ParseMAC(s)
	if err != nil || len(hw) != len(m) {
		return MAC{}, fmt.Errorf("MAC address %.40q: want six octets", s)
	}
	copy(m[:], hw)
	return m, nil
}

// String is the form with colons, aa:bb:cc:dd:ee:ff.
func (m MAC) String() string { return net.HardwareAddr(m[:]).String() }

// Hex is the form Emulab clients expect, 12 lower-case digits.
func (m MAC) Hex() string { return hex.EncodeToString(m[:]) }

// IsZero reports whether m is absent.
func (m MAC) IsZero() bool { return m == MAC{} }

// MarshalText is String, and empty for the zero MAC.
func (m MAC) MarshalText() ([]byte, error) {
	if m.IsZero() {
		return nil, nil
	}
	return []byte(m.String()), nil
}

// UnmarshalText is ParseMAC; empty text is the zero MAC.
func (m *MAC) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*m = MAC{}
		return nil
	}
	parsed, err := ParseMAC(string(text))
	if err != nil {
		return err
	}
	*m = parsed
	return nil
}

// Head is the version of a Ref that means "the newest one".
const Head = -1

// Ref names a version of an OS or image: "project/name:version". Without
// version it follows the head. The zero Ref is none.
type Ref struct {
	Project, Name string
	Version       int // Head, or 0 and up
}

// HeadRef is the Ref of the newest version.
func HeadRef(project, name string) Ref { return Ref{project, name, Head} }

// ParseRef reads "project/name" or "project/name:version".
func ParseRef(s string) (Ref, error) {
	rest, version := s, Head
	if i := strings.LastIndexByte(s, ':'); i >= 0 {
		v, err := strconv.ParseUint(s[i+1:], 10, 31)
		if err != nil {
			return Ref{}, fmt.Errorf("reference %.140q: version is not a number", s)
		}
		rest, version = s[:i], int(v)
	}
	project, name, ok := strings.Cut(rest, "/")
	if !ok {
		return Ref{}, fmt.Errorf("reference %.140q: want project/name[:version]", s)
	}
	for _, part := range []string{project, name} {
		if err := CheckName(part); err != nil {
			return Ref{}, fmt.Errorf("reference %.140q: %w", s, err)
		}
	}
	return Ref{project, name, version}, nil
}

// IsZero reports whether r names nothing.
func (r Ref) IsZero() bool { return r.Name == "" }

// Key names the record without the version: "project/name".
func (r Ref) Key() string { return r.Project + "/" + r.Name }

// Same reports whether r and o name the same record, whatever the versions.
func (r Ref) Same(o Ref) bool { return r.Project == o.Project && r.Name == o.Name }

func (r Ref) String() string {
	switch {
	case r.IsZero():
		return ""
	case r.Version == Head:
		return r.Key()
	}
	return r.Key() + ":" + strconv.Itoa(r.Version)
}

// MarshalText is String. It refuses with ErrInvalid what UnmarshalText would
// refuse, so that no record is stored that cannot be read again.
func (r Ref) MarshalText() ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return []byte(r.String()), nil
}

// check accepts what ParseRef returns, and a Ref that names nothing.
func (r Ref) check() error {
	if r.IsZero() {
		return nil
	}
	for _, part := range []string{r.Project, r.Name} {
		if err := CheckName(part); err != nil {
			return fmt.Errorf("reference %.140q: %w", r.Key(), err)
		}
	}
	if r.Version < Head || r.Version > math.MaxInt32 {
		return fmt.Errorf("reference %.140q: version %d: want 0 to %d, or the head", r.Key(), r.Version, math.MaxInt32)
	}
	return nil
}

// UnmarshalText is ParseRef; empty text is the zero Ref.
func (r *Ref) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*r = Ref{}
		return nil
	}
	parsed, err := ParseRef(string(text))
	if err != nil {
		return err
	}
	*r = parsed
	return nil
}
