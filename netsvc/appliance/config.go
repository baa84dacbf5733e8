package appliance

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"hyzer/netsvc/control"
)

// Config is the appliance's configuration file, YAML. What describes the site
// is not here but in the registry: this says where the appliance keeps its data
// and on which addresses it listens. A service without an address is off.
type Config struct {
	DataDir string `json:"data_dir" yaml:"data_dir"`
	Control string `json:"control" yaml:"control"` // unix socket path, or host:port
	// ControlPublic allows a control address that is not loopback. Whoever
	// reaches it commands the site: nobody is asked for a password.
	ControlPublic bool `json:"control_public" yaml:"control_public"`

	Log       Log       `json:"log" yaml:"log"`
	DHCP      DHCP      `json:"dhcp" yaml:"dhcp"`
	TFTP      Socket    `json:"tftp" yaml:"tftp"`
	HTTP      Socket    `json:"http" yaml:"http"`
	Bootinfo  Socket    `json:"bootinfo" yaml:"bootinfo"`
	TMCD      TMCD      `json:"tmcd" yaml:"tmcd"`
	Frisbee   Frisbee   `json:"frisbee" yaml:"frisbee"`
	Multicast Multicast `json:"multicast" yaml:"multicast"`
	Reboot    Reboot    `json:"reboot" yaml:"reboot"`
	ScriptDir string    `json:"script_dir" yaml:"script_dir"` // for SCRIPT triggers
}

// Reboot says how nodes are rebooted, beside their power control.
type Reboot struct {
	// SSHKey is the file of a private key with which root of the nodes is
	// asked to reboot before power is switched; empty: nobody is asked.
	SSHKey string `json:"ssh_key" yaml:"ssh_key"`
}

// Log says what is logged, to standard error.
type Log struct {
	Level  string `json:"level" yaml:"level"`   // debug, info, warn or error
	Format string `json:"format" yaml:"format"` // text or json
}

// Socket is where a service listens, "address:port".
type Socket struct {
	Listen netip.AddrPort `json:"listen" yaml:"listen"`
}

// Frisbee is where the master server of images listens, TCP, and how sessions
// speak.
type Frisbee struct {
	Socket `yaml:",inline"`
	// Mode2 serves the clients that know it by parity blocks, beside the old
	// ones; on unless it is turned off.
	Mode2 bool `json:"mode2" yaml:"mode2"`
	// SessionKeys hands out a key with load info over TLS, by which loaders and
	// sessions know each other's packets. Loaders that ask in clear get none,
	// and are served as old ones.
	SessionKeys bool `json:"session_keys" yaml:"session_keys"`
	// Parent makes this a mirror: all images come from that master server,
	// which says who may have them. Nobody uploads to a mirror.
	Parent netip.AddrPort `json:"parent" yaml:"parent"`
	Mirror Mirror         `json:"mirror" yaml:"mirror"`
	// Upload takes images from nodes that were granted one.
	Upload Upload `json:"upload" yaml:"upload"`
}

// Mirror bounds the images of a mirror. Those that were not used for longest make
// room for those that come.
type Mirror struct {
	BytesMax     int64 `json:"bytes_max" yaml:"bytes_max"`           // 0: as many as there is room for
	FreeBytesMin int64 `json:"free_bytes_min" yaml:"free_bytes_min"` // of their file system; 1 GiB unless it is said
}

// mirrorFreeDefault is what a mirror leaves of its file system to others.
const mirrorFreeDefault = 1 << 30

func (m *Mirror) check() error {
	if m.BytesMax < 0 || m.FreeBytesMin < 0 {
		return errors.New("frisbee: mirror: a limit is negative")
	}
	return nil
}

// Upload bounds what nodes may write. 0 is the default of multicast/master.
type Upload struct {
	On          bool  `json:"on" yaml:"on"` // on unless it is turned off
	BytesMax    int64 `json:"bytes_max" yaml:"bytes_max"`
	TimeoutSecs int   `json:"timeout_secs" yaml:"timeout_secs"`
	IdleSecs    int   `json:"idle_secs" yaml:"idle_secs"`
	AtOnceMax   int   `json:"at_once_max" yaml:"at_once_max"`
}

func (u *Upload) check() error {
	if u.BytesMax < 0 || u.TimeoutSecs < 0 || u.IdleSecs < 0 || u.AtOnceMax < 0 {
		return errors.New("frisbee: upload: a limit is negative")
	}
	return nil
}

// DHCP says on which interfaces (with broadcasts) and addresses (relayed
// requests only) DHCP is answered.
type DHCP struct {
	Interfaces     []string     `json:"interfaces" yaml:"interfaces"`
	Addresses      []netip.Addr `json:"addresses" yaml:"addresses"`
	Port           uint16       `json:"port" yaml:"port"`                         // 0: 67
	BootServerPort uint16       `json:"boot_server_port" yaml:"boot_server_port"` // 0: 4011
	// LoopbackLab answers requests from loopback at their source address
	// and port: many clients on one machine.
	LoopbackLab bool `json:"loopback_lab" yaml:"loopback_lab"`
}

// TMCD is where tmcd listens, TCP and UDP.
type TMCD struct {
	Listen []netip.AddrPort `json:"listen" yaml:"listen"`
	// BootLogBytesMax bounds one stored boot log; 0: 16 MiB.
	BootLogBytesMax int64 `json:"boot_log_bytes_max" yaml:"boot_log_bytes_max"`
	// WatchesMax bounds how many nodes wait to hear of changes; 0: 20 000.
	WatchesMax int `json:"watches_max" yaml:"watches_max"`
	TLS        TLS `json:"tls" yaml:"tls"`
}

// TLS names the files, PEM, of a service that also speaks TLS. Without them it
// does not.
type TLS struct {
	Cert string `json:"cert" yaml:"cert"` // and those of authorities between it and the root
	Key  string `json:"key" yaml:"key"`   // may be the same file
	// ClientCA is whose certificates clients must have.
	ClientCA string `json:"client_ca" yaml:"client_ca"`
}

// Multicast says how images are distributed.
type Multicast struct {
	// Interface is the appliance's address on the network of the nodes.
	Interface netip.Addr `json:"interface" yaml:"interface"`
	// Groups are the group addresses used for sessions.
	Groups    netip.Prefix `json:"groups" yaml:"groups"`
	FirstPort uint16       `json:"first_port" yaml:"first_port"`
	LastPort  uint16       `json:"last_port" yaml:"last_port"`
	// FirstParityPort and LastParityPort are the ports of parity blocks; 0: any.
	FirstParityPort uint16 `json:"first_parity_port" yaml:"first_parity_port"`
	LastParityPort  uint16 `json:"last_parity_port" yaml:"last_parity_port"`
	// RateMbps bounds what one session sends; 0: 400. Loss lowers it.
	RateMbps int `json:"rate_mbps" yaml:"rate_mbps"`
	// QuerierSecs asks the network that often who is in which group, for
	// switches that need somebody to; 0: do not.
	QuerierSecs int `json:"querier_secs" yaml:"querier_secs"`
	// LoopbackLab lets clients run on this machine.
	LoopbackLab bool `json:"loopback_lab" yaml:"loopback_lab"`
}

// configBytesMax bounds a configuration file.
const configBytesMax = 1 << 20

// DefaultConfig is what a configuration file changes.
func DefaultConfig() Config {
	return Config{
		DataDir: "/var/lib/hyzer",
		Control: control.DefaultSocket,
		Frisbee: Frisbee{Mode2: true, Mirror: Mirror{FreeBytesMin: mirrorFreeDefault}, Upload: Upload{On: true}},
		Multicast: Multicast{
			Groups: netip.MustParsePrefix("239.192.64.0/20"), FirstPort: 21000, LastPort: 22999,
		},
	}
}

// ReadConfig reads a configuration file over the defaults. An unknown field or
// a setting that cannot work is an error.
func ReadConfig(path string) (Config, error) {
	cfg := DefaultConfig()
	f, err := os.Open(path)
	if err != nil {
		return cfg, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, configBytesMax+1))
	if err != nil {
		return cfg, err
	}
	if len(data) > configBytesMax {
		return cfg, fmt.Errorf("%s: over %d bytes", path, configBytesMax)
	}
	if err := cfg.parse(data); err != nil {
		return cfg, fmt.Errorf("%s: %w", path, err)
	}
	return cfg, nil
}

func (c *Config) parse(data []byte) error {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(c); err != nil && !errors.Is(err, io.EOF) {
		return plainError(err)
	}
	if err := dec.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		return errors.New("more than one YAML document")
	}
	return c.check()
}

// plainError drops the words that say how we hold a setting in memory.
func plainError(err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	text = strings.TrimPrefix(text, "unmarshal errors:\n  ")
	return errors.New(goType.ReplaceAllString(text, ""))
}

var goType = regexp.MustCompile(` (in type|into) appliance\.\w+`)

// check finds settings that cannot work, and names them.
func (c *Config) check() error {
	if !filepath.IsAbs(c.DataDir) {
		return fmt.Errorf("data_dir %q: want an absolute path", c.DataDir)
	}
	if c.ScriptDir != "" && !filepath.IsAbs(c.ScriptDir) {
		return fmt.Errorf("script_dir %q: want an absolute path", c.ScriptDir)
	}
	if c.Reboot.SSHKey != "" && !filepath.IsAbs(c.Reboot.SSHKey) {
		return fmt.Errorf("reboot: ssh_key %q: want an absolute path", c.Reboot.SSHKey)
	}
	if err := c.checkControl(); err != nil {
		return err
	}
	if _, err := newLog(c.Log, io.Discard); err != nil {
		return err
	}
	if c.TMCD.BootLogBytesMax < 0 {
		return fmt.Errorf("tmcd: boot_log_bytes_max %d is negative", c.TMCD.BootLogBytesMax)
	}
	if c.TMCD.WatchesMax < 0 {
		return fmt.Errorf("tmcd: watches_max %d is negative", c.TMCD.WatchesMax)
	}
	if err := c.Frisbee.Mirror.check(); err != nil {
		return err
	}
	if err := c.Frisbee.Upload.check(); err != nil {
		return err
	}
	if t := c.TMCD.TLS; t != (TLS{}) && (t.Cert == "" || t.Key == "" || t.ClientCA == "") {
		return errors.New("tmcd: tls: want all of cert, key and client_ca")
	}
	return c.Multicast.check(c.Frisbee.Listen.IsValid())
}

func (c *Config) checkControl() error {
	if c.Control == "" {
		return errors.New("control is empty: without it there is no way to operate the appliance")
	}
	if _, isUnix := socketPath(c.Control); isUnix {
		return nil
	}
	if err := checkPublic(c.Control, c.ControlPublic); err != nil {
		return fmt.Errorf("control: %w", err)
	}
	return nil
}

func (m *Multicast) check(used bool) error {
	switch {
	case used && !m.Interface.Is4() && !m.LoopbackLab:
		return errors.New("multicast: interface: want the appliance's IPv4 address on the nodes' network, for frisbee")
	case !m.Groups.Addr().Is4() || !m.Groups.Addr().IsMulticast():
		return fmt.Errorf("multicast: groups %s: want a prefix of IPv4 multicast addresses", m.Groups)
	case m.FirstPort == 0 || m.LastPort < m.FirstPort:
		return fmt.Errorf("multicast: first_port %d, last_port %d: want a range of ports", m.FirstPort, m.LastPort)
	case m.LastParityPort < m.FirstParityPort:
		return fmt.Errorf("multicast: first_parity_port %d, last_parity_port %d: want a range of ports, or neither", m.FirstParityPort, m.LastParityPort)
	case m.QuerierSecs < 0:
		return fmt.Errorf("multicast: querier_secs %d is negative", m.QuerierSecs)
	case m.RateMbps < 0:
		return fmt.Errorf("multicast: rate_mbps %d is negative", m.RateMbps)
	}
	return nil
}

// Folders below DataDir.
func (c *Config) dbDir() string       { return filepath.Join(c.DataDir, "db") }
func (c *Config) mirrorDir() string   { return filepath.Join(c.DataDir, "mirror") }
func (c *Config) imageDir() string    { return filepath.Join(c.DataDir, "images") }
func (c *Config) bootFileDir() string { return filepath.Join(c.DataDir, "tftpboot") }
