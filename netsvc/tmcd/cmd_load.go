package tmcd

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"hyzer/storage/registry"
)

// Attributes of nodes and types that loaders want (node_type_attributes).
const (
	attrDiskType    = "disktype"
	attrDiskUnit    = "bootdisk_unit"
	attrBIOSDisk    = "bootdisk_bios_id"
	attrACPI        = "use_acpi"
	attrASF         = "disable_asf"
	attrNoCLFlush   = "no_clflush"
	attrConsole     = "console"
	attrVGAOnly     = "vgaonly"
	attrDom0Mem     = "dom0mem"
	attrDisableIf   = "disable_if"
	siteVarLoadBeat = "images/frisbee/heartbeat"
	siteVarTrim     = "general/disk_trim_interval" // seconds
)

const (
	chunkBytes = 1 << 20 // of an image file, IMAGECHUNKS
	// versionManyImages is the first version whose loader takes more than one
	// line.
	versionManyImages = 30
	// versionAsksMaster is the first version whose loader asks the frisbee
	// master for its address. Older ones want an address in ADDR=, which
	// exists only while a server runs for them.
	versionAsksMaster = 33
)

// runLoadInfo says what the loader shall put on the disk, one line per image.
// No load: nothing, and the loader gives up.
func runLoadInfo(c *call) {
	load := c.snap.Load(c.who.node.ID)
	if load == nil || len(load.Images) == 0 {
		return
	}
	tooOld := c.who.local && !c.v(versionAsksMaster) || !c.v(versionManyImages) && len(load.Images) > 1
	if tooOld {
		c.str("ADDR=/NEWER-MFS-NEEDED PART=0 PARTOS=Bogus\n")
		c.effect(StateReport{Node: c.who.node.ID, States: []string{"RELOADOLDMFS"}})
		return
	}
	trim := c.trimDue()
	for i := range load.Images {
		image, version := c.snap.ImageVersion(load.Images[i].Image)
		if version == nil { // it was deleted under the load
			continue
		}
		c.loadLine(&load.Images[i], image, version, trim)
		trim = false // a second one would wipe what the first line wrote
	}
}

// loadLine writes one image's line; the keys' order is part of the protocol
// (shared specs, page load, section 6).
func (c *call) loadLine(l *registry.LoadImage, image *registry.Image, v *registry.ImageVersion, trim bool) {
	var family, release string
	if _, os := c.snap.OSVersion(v.BootOS); os != nil {
		family, release = os.Family, os.Release
	}
	address := ""
	if !c.who.local {
		if address = c.webAddress(image, v); address == "" {
			return // it cannot be had from there
		}
	}
	c.str("ADDR=", address, " PART=", strconv.Itoa(v.LoadPart), " PARTOS=", family)
	if c.who.local {
		c.str(" SERVER=", addr(c.frisbeeServer()))
	}
	c.str(" OSVERSION=", release)
	if c.v(36) && v.LoadPart == 0 && v.BootPart > 0 {
		c.str(" BOOTPART=", strconv.Itoa(v.BootPart))
	}
	c.str(" DISK=", c.attribute(attrDiskType, "ad"), c.attribute(attrDiskUnit, "0"))
	c.str(" ZFILL=", strconv.Itoa(l.MustWipe), " ACPI=", c.attribute(attrACPI, "unknown"))
	c.str(" MBRVERS=", strconv.Itoa(max(v.MBRVersion, 1)), " ASF=", c.attribute(attrASF, "unknown"))
	c.str(" PREPARE=", zeroOne(l.Prepare), " NOCLFLUSH=", c.attribute(attrNoCLFlush, "unknown"))
	c.loadConsole()
	c.loadTimes(trim)
	if c.v(versionAsksMaster) {
		c.loadImage(image, v)
	}
	c.str("\n")
}

// loadImage says which image it is, and what the loader can know of it before
// it is there.
func (c *call) loadImage(image *registry.Image, v *registry.ImageVersion) {
	c.str(" IMAGEID=", image.Project, ",", image.GroupID(), ",", image.Name)
	if c.v(39) && v != image.Version(registry.Head) {
		c.str(":", strconv.Itoa(v.Version))
	}
	if c.v(38) {
		c.imageExtent(v)
	}
	if c.v(43) {
		c.str(" PATH=", v.Path)
	}
	ref := registry.Ref{Project: image.Project, Name: image.Name, Version: v.Version}
	secrets := c.req.Transport == TLS && c.who.local && (c.who.proven || c.who.policy == policyLegacy)
	if key := c.h.ImageKey(ref); key != "" && secrets {
		c.str(" MCASTKEY=", key) // old loaders pass over keys that they do not know
	}
}

// webAddress is where a remote node has an image from. Its key is the proof
// that the node was told to load it.
func (c *call) webAddress(image *registry.Image, v *registry.ImageVersion) string {
	base := c.snap.Site().WebBase
	if base == "" || v.AccessKey == "" {
		return ""
	}
	return base + "/spewimage.php?imageid=" + strconv.Itoa(image.LegacyID) + "&access_key=" + url.QueryEscape(v.AccessKey)
}

// trimDue says whether a node that is being reloaded shall tell its disk what
// is free, and notes that it does.
func (c *call) trimDue() bool {
	secs, err := strconv.ParseInt(c.snap.Site().Vars[siteVarTrim], 10, 32)
	if err != nil || secs <= 0 || c.who.res == nil || c.who.res.Experiment != registry.ReloadingExpt {
		return false
	}
	now := c.h.Now()
	if last := c.who.run.Trimmed; !last.IsZero() && now.Sub(last) < time.Duration(secs)*time.Second {
		return false
	}
	c.effect(HostReport{Node: c.who.node.ID, Trimmed: now.UTC()})
	return true
}

func (c *call) loadConsole() {
	if s := c.attribute(attrConsole, ""); s != "" {
		c.str(" CONSOLE=", s)
	} else if s := c.attribute(attrVGAOnly, ""); s != "" {
		c.str(" VGAONLY=", s)
	}
	if s := c.attribute(attrBIOSDisk, ""); s != "" {
		c.str(" BIOSDISK=", s)
	}
	c.str(" DOM0MEM=", c.attribute(attrDom0Mem, "1024M"))
	if s := c.attribute(attrDisableIf, ""); s != "" {
		c.str(" DISABLEIF=", s)
	}
}

func (c *call) loadTimes(trim bool) {
	if trim {
		c.str(" TRIM=1")
	}
	if beat := c.snap.Site().Vars[siteVarLoadBeat]; c.v(41) && beat != "" && beat != "0" {
		c.str(" HEARTBEAT=", beat)
	}
}

func (c *call) imageExtent(v *registry.ImageVersion) {
	var mtime int64
	if !v.Updated.IsZero() {
		mtime = v.Updated.Unix()
	}
	chunks := (v.SizeBytes + chunkBytes - 1) / chunkBytes
	c.str(" IMAGEMTIME=", strconv.FormatInt(mtime, 10), " IMAGECHUNKS=", strconv.FormatInt(chunks, 10))
	if v.LBAHigh != 0 {
		c.str(" ")
		c.lbaRange(v)
	}
}

func (c *call) lbaRange(v *registry.ImageVersion) {
	c.str("IMAGELOW=", strconv.FormatInt(v.LBALow, 10), " IMAGEHIGH=", strconv.FormatInt(v.LBAHigh, 10),
		" IMAGESSIZE=", strconv.Itoa(v.LBASize), " IMAGERELOC=", zeroOne(v.Relocs))
}

// runImageInfo names the image that the node's default system was loaded from.
func runImageInfo(c *call) {
	if image, version := c.loadedImage(); image != nil {
		c.str("PID='", image.Project, "' GID='", image.GroupID(), "' NAME='", image.Name,
			"' VERSION='", strconv.Itoa(version.Version), "'\n")
	}
}

func (c *call) loadedImage() (*registry.Image, *registry.ImageVersion) {
	boot, table := c.snap.Boot(c.who.node.ID), c.snap.PartitionTable(c.who.node.ID)
	if boot == nil || table == nil || boot.Def.IsZero() {
		return nil, nil
	}
	for _, slot := range table.Slots {
		if !slot.OS.Same(boot.Def) {
			continue
		}
		if image, version := c.snap.ImageVersion(slot.Image); version != nil {
			return image, version
		}
		return nil, nil
	}
	return nil, nil
}

// runImageSize takes "[pid/]name[:version]"; a name alone is the experiment's
// image or else the site's.
func runImageSize(c *call) {
	names := []string{c.arg()}
	if !strings.Contains(names[0], "/") {
		names = []string{c.who.expt.Project + "/" + names[0], registry.OpsProject + "/" + names[0]}
	}
	for _, name := range names {
		ref, err := registry.ParseRef(name)
		if err != nil {
			return
		}
		if _, v := c.snap.ImageVersion(ref); v != nil {
			if v.LBAHigh != 0 {
				c.lbaRange(v)
				c.str("\n")
			}
			return
		}
	}
}

// attribute is a node's or its type's, or else a default.
func (c *call) attribute(key, absent string) string {
	if s := c.snap.Attribute(c.who.node, key); s != "" {
		return s
	}
	return absent
}

func zeroOne(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

// frisbeeServer is who hands out images to this node.
func (c *call) frisbeeServer() netip.Addr {
	if sub := c.snap.Node(c.who.node.Subbosses["frisbee"]); sub != nil {
		return sub.ControlIP()
	}
	return c.snap.Site().BossIP
}
