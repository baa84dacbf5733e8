package dhcp

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"strings"
)

// Arch is a client's processor and firmware (IANA Processor Architecture
// Types; RFC 4578 §2.1, RFC 5970 §3.3).
type Arch uint16

// Architectures that get an answer of their own somewhere. Others pass through
// as numbers.
const (
	ArchBIOS        Arch = 0
	ArchIA32EFI     Arch = 6
	ArchX64EFI      Arch = 7
	ArchEBC         Arch = 9 // RFC 4578 as printed swaps 7 and 9: also x64 (erratum 4624)
	ArchARM32EFI    Arch = 10
	ArchARM64EFI    Arch = 11
	ArchX86HTTP     Arch = 15
	ArchX64HTTP     Arch = 16
	ArchEBCHTTP     Arch = 17
	ArchARM32HTTP   Arch = 18
	ArchARM64HTTP   Arch = 19
	ArchBIOSHTTP    Arch = 20
	ArchARM32UBoot  Arch = 21
	ArchARM64UBoot  Arch = 22
	ArchRISCV64EFI  Arch = 27
	ArchLoongArch64 Arch = 39
	ArchUnknown     Arch = 0xffff // no option 93
)

// archesPerListMax is how much of option 93 is kept.
const archesPerListMax = 8

// Normal is the architecture with its historic double folded: 9 is 7, and 17
// is 16.
func (a Arch) Normal() Arch {
	switch a {
	case ArchEBC:
		return ArchX64EFI
	case ArchEBCHTTP:
		return ArchX64HTTP
	}
	return a
}

// String names the usual architectures and numbers the rest.
func (a Arch) String() string {
	switch a.Normal() {
	case ArchBIOS:
		return "BIOS"
	case ArchIA32EFI:
		return "IA32 UEFI"
	case ArchX64EFI:
		return "x64 UEFI"
	case ArchARM32EFI:
		return "ARM32 UEFI"
	case ArchARM64EFI:
		return "ARM64 UEFI"
	case ArchX64HTTP:
		return "x64 UEFI HTTP"
	case ArchARM64HTTP:
		return "ARM64 UEFI HTTP"
	case ArchRISCV64EFI:
		return "RISC-V64 UEFI"
	case ArchUnknown:
		return "unknown"
	}
	return "arch " + strconv.Itoa(int(a))
}

// Features is a set of what an iPXE build can do (option 175, sub-options 16
// to 41, each present with a version octet).
type Features uint64

// Features that decide what a chain load needs.
const (
	FeatureISCSI   Features = 1 << 17
	FeatureHTTP    Features = 1 << 19
	FeatureHTTPS   Features = 1 << 20
	FeatureTFTP    Features = 1 << 21
	FeatureBzImage Features = 1 << 24
	FeatureCOMBOOT Features = 1 << 35
	FeatureEFI     Features = 1 << 36
	FeatureMenu    Features = 1 << 39
)

const (
	featureCodeMin  = 16
	featureCodeMax  = 63
	optionIPXEProxy = 176 // no-pxedhcp: do not wait for a proxy's offer
)

// Asker is who wants a boot file, as it shows itself in this message: the same
// machine is a PXE ROM, an HTTP boot client and iPXE one after another.
type Asker struct {
	Hardware HardwareAddr
	// Arch is the first of option 93's list, normalised; ArchUnknown if there
	// is none. Arches holds the list as it came, ArchCount entries of it.
	Arch      Arch
	Arches    [archesPerListMax]Arch
	ArchCount int
	PXE       bool // option 60 begins PXEClient
	HTTP      bool // option 60 begins HTTPClient: wants an absolute URL
	IPXE      bool // option 77 is iPXE, or option 175 is present
	Features  Features
	// Proxy is set when the address comes from another server: in a
	// ModeProxy subnet and on port 4011.
	Proxy bool
	// UUID is option 97 as it came, without its type octet; HasUUID is false
	// if it is absent, malformed, or all 00 or all ff. In UEFI's messages the
	// first three fields are little-endian. Never a key on its own.
	UUID    [16]byte
	HasUUID bool
	// UserClass is option 77 and VendorClass option 60, for boot plans that
	// tell their own iPXE build or U-Boot. They are valid only during the
	// call.
	UserClass, VendorClass []byte
}

// UEFI reports whether the firmware is UEFI, by PXE or HTTP, of any processor.
func (a Asker) UEFI() bool {
	switch a.Arch {
	case ArchUnknown, ArchBIOS, ArchBIOSHTTP, ArchARM32UBoot, ArchARM64UBoot,
		1, 3, 4, 5, 8, 12, 13, 14, 23, 24, 31, 32, 41: // PC98 to POWER, U-Boot by HTTP, s390, rpiboot
		return false
	}
	return true
}

// AskerOf reads what a message says of its sender. It allocates nothing.
func AskerOf(p *Packet) Asker {
	a := Asker{Arch: ArchUnknown}
	a.Hardware, _ = p.Client()
	a.VendorClass, _ = p.Option(OptVendorClass)
	a.UserClass, _ = p.Option(OptUserClass)
	a.PXE = bytes.HasPrefix(a.VendorClass, []byte(classPXE))
	a.HTTP = bytes.HasPrefix(a.VendorClass, []byte(classHTTP))
	a.readArch(p)
	a.readUUID(p)
	features, ok := p.Option(OptIPXE)
	a.IPXE = ok || isIPXEClass(a.UserClass)
	a.Features = readFeatures(features)
	return a
}

const (
	classPXE   = "PXEClient"
	classHTTP  = "HTTPClient"
	classIPXE  = "iPXE"
	classUBoot = "U-boot" // followed by .arm and such
)

func (a *Asker) class() Class {
	uboot := len(a.VendorClass) >= len(classUBoot) && strings.EqualFold(string(a.VendorClass[:len(classUBoot)]), classUBoot)
	return Class{Arch: a.Arch, PXE: a.PXE, HTTP: a.HTTP, IPXE: a.IPXE, UBoot: uboot}
}

// isIPXEClass accepts the bare string iPXE sends, and the length-prefixed form
// RFC 3004 asks for.
func isIPXEClass(class []byte) bool {
	if string(class) == classIPXE {
		return true
	}
	for len(class) > 0 && int(class[0]) < len(class) {
		n := 1 + int(class[0])
		if string(class[1:n]) == classIPXE {
			return true
		}
		class = class[n:]
	}
	return false
}

// readArch reads option 93. A list of odd length loses its last octet. Some
// firmware has no 93 but names the architecture in option 60.
func (a *Asker) readArch(p *Packet) {
	list, _ := p.Option(OptClientArch)
	for ; len(list) >= 2 && a.ArchCount < archesPerListMax; list = list[2:] {
		a.Arches[a.ArchCount] = Arch(binary.BigEndian.Uint16(list))
		a.ArchCount++
	}
	if a.ArchCount == 0 {
		if arch, ok := archOfClass(a.VendorClass); ok {
			a.Arches[0], a.ArchCount = arch, 1
		}
	}
	if a.ArchCount > 0 {
		a.Arch = a.Arches[0].Normal()
	}
}

// archOfClass reads the five digits of "PXEClient:Arch:00007:UNDI:003000".
func archOfClass(class []byte) (Arch, bool) {
	_, rest, ok := bytes.Cut(class, []byte("Client:Arch:"))
	if !ok || len(rest) < 5 {
		return 0, false
	}
	value := 0
	for _, c := range rest[:5] {
		if c < '0' || c > '9' {
			return 0, false
		}
		value = 10*value + int(c-'0')
	}
	return Arch(value), value < int(ArchUnknown)
}

func (a *Asker) readUUID(p *Packet) {
	v, ok := p.Option(OptClientUUID)
	if !ok || len(v) != 17 {
		return
	}
	copy(a.UUID[:], v[1:])
	zero, ones := true, true
	for _, b := range a.UUID {
		zero = zero && b == 0
		ones = ones && b == 0xff
	}
	a.HasUUID = !zero && !ones
}

func readFeatures(list []byte) Features {
	var set Features
	for len(list) >= 2 && 2+int(list[1]) <= len(list) {
		code, length := list[0], int(list[1])
		if code >= featureCodeMin && code <= featureCodeMax && length > 0 {
			set |= 1 << code
		}
		list = list[2+length:]
	}
	return set
}
