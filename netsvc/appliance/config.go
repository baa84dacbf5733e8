package appliance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"
)

// Config is the appliance's configuration file, YAML. What describes the site
// is not here but in the registry: this says where the appliance keeps its data
// and on which addresses it listens. A service without an address is off.
type Config struct {
	DataDir   string    `json:"data_dir"`
	Control   string    `json:"control"` // unix socket path, or host:port
	Log       Log       `json:"log"`
	DHCP      DHCP      `json:"dhcp"`
	TFTP      Socket    `json:"tftp"`
	HTTP      Socket    `json:"http"`
	Bootinfo  Socket    `json:"bootinfo"`
	TMCD      TMCD      `json:"tmcd"`
	Frisbee   Socket    `json:"frisbee"` // the master server, TCP
	Multicast Multicast `json:"multicast"`
	ScriptDir string    `json:"script_dir"` // for SCRIPT triggers
}

// Log says what is logged, to standard error.
type Log struct {
	Level  string `json:"level"`  // debug, info, warn or error
	Format string `json:"format"` // text or json
}

// Socket is where a service listens, "address:port".
type Socket struct {
	Listen netip.AddrPort `json:"listen"`
}

// DHCP says on which interfaces (with broadcasts) and addresses (relayed
// requests only) DHCP is answered.
type DHCP struct {
	Interfaces     []string     `json:"interfaces"`
	Addresses      []netip.Addr `json:"addresses"`
	Port           uint16       `json:"port"`             // 0: 67
	BootServerPort uint16       `json:"boot_server_port"` // 0: 4011
	// LoopbackLab answers requests from loopback at their source address
	// and port: many clients on one machine.
	LoopbackLab bool `json:"loopback_lab"`
}

// TMCD is where tmcd listens, TCP and UDP.
type TMCD struct {
	Listen []netip.AddrPort `json:"listen"`
	// BootLogBytesMax bounds one stored boot log; 0: 16 MiB.
	BootLogBytesMax int64 `json:"boot_log_bytes_max"`
}

// Multicast says how images are distributed.
type Multicast struct {
	// Interface is the appliance's address on the network of the nodes.
	Interface netip.Addr `json:"interface"`
	// Groups are the group addresses used for sessions.
	Groups    netip.Prefix `json:"groups"`
	FirstPort uint16       `json:"first_port"`
	LastPort  uint16       `json:"last_port"`
	// RateMbps bounds what one session sends; 0: as the pacing finds.
	RateMbps int `json:"rate_mbps"`
	// LoopbackLab lets clients run on this machine.
	LoopbackLab bool `json:"loopback_lab"`
}

// ReadConfig reads a configuration file. An unknown field is an error.
func ReadConfig(path string) (Config, error) {
	cfg := Config{
		DataDir: "/var/lib/hyzer",
		Control: "/run/hyzer/control.sock",
		Multicast: Multicast{
			Groups: netip.MustParsePrefix("239.192.64.0/20"), FirstPort: 21000, LastPort: 22999,
		},
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return cfg, err
	}
	var plain map[string]any
	if err := yaml.Unmarshal(data, &plain); err != nil {
		return cfg, fmt.Errorf("%s: %w", path, err)
	}
	asJSON, err := json.Marshal(plain)
	if err != nil {
		return cfg, fmt.Errorf("%s: %w", path, err)
	}
	dec := json.NewDecoder(bytes.NewReader(asJSON))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&cfg); err != nil {
		return cfg, fmt.Errorf("%s: %w", path, err)
	}
	if !filepath.IsAbs(cfg.DataDir) {
		return cfg, fmt.Errorf("%s: data_dir %q: want an absolute path", path, cfg.DataDir)
	}
	return cfg, nil
}

// Folders below DataDir.
func (c *Config) dbDir() string       { return filepath.Join(c.DataDir, "db") }
func (c *Config) imageDir() string    { return filepath.Join(c.DataDir, "images") }
func (c *Config) bootFileDir() string { return filepath.Join(c.DataDir, "tftpboot") }
