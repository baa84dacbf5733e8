package bootfiles

import (
	"fmt"
	"path"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// nameBytesMax bounds a name as asked. PXE names are at most 127 bytes (the
// BOOTP file field); HTTP boot paths and GRUB module paths stay far below.
const nameBytesMax = 255

// logNameBytesMax bounds a name in a log line.
const logNameBytesMax = 160

// tftpbootPrefix is how Emulab's database writes boot paths, whatever the
// folder is called on this machine (bootinfo.md: `/tftpboot/pxeboot.emu`).
const tftpbootPrefix = "/tftpboot/"

// CleanName turns a name as a client asked for it into a slash-separated path
// relative to the root of the boot files, or says why not (ErrRefused).
//
// One trailing 0xff is dropped: old ROMs read DHCP option 67 past its end and
// ask for the END octet too (pxe-dhcp.md section 9). Leading slashes mean the
// root, as in a TFTP server that runs chrooted: GRUB asks for
// `/grub/x86_64-efi/normal.mod`.
func CleanName(asked string) (string, error) {
	name := strings.TrimSuffix(asked, "\xff")
	if err := checkName(name); err != nil {
		return "", err
	}
	if rest, ok := strings.CutPrefix(name, tftpbootPrefix); ok {
		name = rest
	}
	name = strings.TrimPrefix(path.Clean("/"+name), "/")
	if name == "" {
		return "", fmt.Errorf("%w: the name is the root folder", ErrRefused)
	}
	return name, nil
}

func checkName(name string) error {
	switch {
	case len(name) > nameBytesMax:
		return fmt.Errorf("%w: name of %d bytes, the limit is %d", ErrRefused, len(name), nameBytesMax)
	case name == "":
		return fmt.Errorf("%w: empty name", ErrRefused)
	case !utf8.ValidString(name):
		return fmt.Errorf("%w: name is not UTF-8", ErrRefused)
	case strings.ContainsFunc(name, unicode.IsControl):
		return fmt.Errorf("%w: control character in the name", ErrRefused)
	case strings.ContainsRune(name, '\\'):
		return fmt.Errorf("%w: backslash in the name", ErrRefused)
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return fmt.Errorf("%w: name climbs out with ..", ErrRefused)
		}
	}
	return nil
}

// LogName makes a stranger's text safe to log: printable ASCII, everything
// else escaped as in a Go string, cut to a bounded length.
func LogName(text string) string {
	const ellipsis = "..."
	cut := len(text) > logNameBytesMax
	if cut {
		text = text[:logNameBytesMax]
	}
	quoted := strconv.QuoteToASCII(text)
	safe := quoted[1 : len(quoted)-1]
	if cut {
		safe += ellipsis
	}
	return safe
}
