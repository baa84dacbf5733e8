package qemu

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"hyzer/bench/netns"
	"hyzer/storage/registry"
)

// Firmware is how a machine boots from the net.
type Firmware int

// The firmwares.
const (
	BIOS    Firmware = iota // SeaBIOS, the card's ROM is iPXE
	UEFI                    // OVMF with its own PXE
	UEFIWeb                 // OVMF, HTTP boot only
)

// Files of Debian's packages.
const (
	emulator = "qemu-system-x86_64"
	ovmfCode = "/usr/share/OVMF/OVMF_CODE_4M.fd"
	ovmfVars = "/usr/share/OVMF/OVMF_VARS_4M.fd"
)

// memoryMB is enough for OVMF, and for the kernel with the node's program and
// an image on its way to the disk.
const memoryMB = 384

// MachineOptions describe a machine.
type MachineOptions struct {
	Name     string
	MAC      registry.MAC
	Firmware Firmware
	Disk     string // path of a raw disk; "": none
	Dir      string // for the firmware's variables
	Network  *netns.Network
	Tap      string // in the server's namespace
}

// Machine is a computer. It is a chassis.Machine.
type Machine struct {
	Console *Console
	opts    MachineOptions

	mu   sync.Mutex
	life *process // nil: never on
	err  error    // of the last PowerOn
}

// NewMachine returns a machine that is off.
func NewMachine(o MachineOptions) *Machine {
	return &Machine{Console: &Console{}, opts: o}
}

// Name implements chassis.Machine.
func (m *Machine) Name() string { return m.opts.Name }

// IsOn implements chassis.Machine.
func (m *Machine) IsOn() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.life != nil && m.life.running()
}

// PowerOn implements chassis.Machine. What goes wrong is on the console, and in
// Err.
func (m *Machine) PowerOn() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.life != nil && m.life.running() {
		return
	}
	if m.err = m.powerOn(); m.err != nil {
		fmt.Fprintf(m.Console, "level=ERROR qemu: %v\n", m.err)
	}
}

func (m *Machine) powerOn() error {
	args, err := m.arguments()
	if err != nil {
		return err
	}
	cmd := exec.Command(emulator, args...)
	cmd.Stdout, cmd.Stderr = m.Console, m.Console
	m.life, err = start(m.opts.Network.Server, cmd, func(err error) {
		if !killed(err) {
			fmt.Fprintf(m.Console, "level=ERROR %s ended: %v\n", emulator, err)
		}
	})
	return err
}

// PowerOff implements chassis.Machine.
func (m *Machine) PowerOff() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.life != nil {
		m.life.kill()
	}
}

// Err is why the machine is not on although it should be.
func (m *Machine) Err() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err == nil && m.life != nil && !m.life.running() && !killed(m.life.err) {
		return fmt.Errorf("%s ended by itself: %w", emulator, m.life.err)
	}
	return m.err
}

// arguments make a machine without what a server has no use for. The console
// is the standard output.
func (m *Machine) arguments() ([]string, error) {
	o := m.opts
	args := []string{
		"-accel", "tcg", "-m", strconv.Itoa(memoryMB), "-smp", "1", "-nodefaults", "-no-user-config",
		"-display", "none", "-vga", "none", "-serial", "stdio", "-monitor", "none",
		"-netdev", "tap,id=n0,ifname=" + o.Tap + ",script=no,downscript=no",
		"-device", "virtio-rng-pci",
	}
	card := "virtio-net-pci,netdev=n0,bootindex=0,mac=" + o.MAC.String()
	if o.Disk != "" {
		args = append(args, "-drive", "file="+option(o.Disk)+",format=raw,if=none,id=d0,cache=unsafe", "-device", "virtio-blk-pci,drive=d0,bootindex=1")
	}
	if o.Firmware == BIOS {
		return append(args, "-machine", "pc,graphics=off", "-device", card), nil
	}
	vars := filepath.Join(o.Dir, o.Name+".vars.fd")
	if err := copyFile(vars, ovmfVars); err != nil {
		return nil, err
	}
	return append(args, "-machine", "q35,smm=off",
		"-drive", "if=pflash,format=raw,unit=0,readonly=on,file="+ovmfCode,
		"-drive", "if=pflash,format=raw,unit=1,file="+option(vars),
		"-fw_cfg", "name=opt/org.tianocore/IPv6PXESupport,string=n",
		"-fw_cfg", "name=opt/org.tianocore/IPv4PXESupport,string="+map[Firmware]string{UEFI: "y", UEFIWeb: "n"}[o.Firmware],
		"-device", card+",romfile="), nil
}

// option writes a value in a list of QEMU's, where commas are doubled.
func option(value string) string { return strings.ReplaceAll(value, ",", ",,") }

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if e := out.Close(); err == nil {
		err = e
	}
	return err
}
