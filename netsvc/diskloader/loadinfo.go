package diskloader

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"hyzer/multicast/wire"
)

// Image is one line of tmcd's loadinfo: one image to put on a disk.
type Image struct {
	Addr      string     // ADDR: session address or URL; empty: ask the master
	Server    netip.Addr // SERVER: the master; not valid: the one that serves all else
	ID        string     // IMAGEID: pid,gid,name[:version]
	Disk      string     // DISK: name without /dev/; empty: the first disk
	Part      int        // PART; 0: the whole disk
	ZeroFill  ZeroFill
	Prepare   bool // PREPARE: make what is on the disk unreadable first
	Chunks    int  // IMAGECHUNKS; 0: not said
	Heartbeat time.Duration
	Key       *wire.Key // MCASTKEY: of the image's sessions; nil: it has none
}

// ZeroFill says what is zeroed beside the image's data.
type ZeroFill int

// The values of ZFILL.
const (
	ZeroNothing ZeroFill = iota
	ZeroFree             // the free space that the image knows of
	ZeroDisk             // everything, first
)

// Limits of what tmcd may say.
const (
	imagesMax           = 16
	lineKeysMax         = 64
	partMax             = 128 // of a GPT
	chunksMax           = 1 << 21
	heartbeatSecondsMax = 3600
)

// errOldLoader is what a server says to loaders that load one image only.
var errOldLoader = errors.New("the server wants a newer disk loader")

// ParseLoadInfo reads a reply: a line for each image, in order of loading. No
// line at all means that there is nothing to load.
func ParseLoadInfo(reply string) ([]Image, error) {
	var images []Image
	for line := range strings.Lines(reply) {
		if strings.TrimSpace(line) == "" {
			continue
		}
		if len(images) == imagesMax {
			return nil, fmt.Errorf("loadinfo: more than %d images", imagesMax)
		}
		image, err := parseLine(line)
		if err != nil {
			return nil, fmt.Errorf("loadinfo: line %d: %w", len(images)+1, err)
		}
		images = append(images, image)
	}
	return images, nil
}

func parseLine(line string) (Image, error) {
	keys := map[string]string{}
	for _, word := range strings.Fields(line) {
		key, value, ok := strings.Cut(word, "=")
		if !ok || len(keys) == lineKeysMax {
			return Image{}, fmt.Errorf("word %.60q: want KEY=value, at most %d", word, lineKeysMax)
		}
		keys[key] = value
	}
	image := Image{Addr: keys["ADDR"], ID: keys["IMAGEID"], Disk: keys["DISK"]}
	if strings.Contains(image.Addr, "NEWER-MFS-NEEDED") {
		return image, errOldLoader
	}
	if text := keys["SERVER"]; text != "" {
		addr, err := netip.ParseAddr(text)
		if err != nil {
			return image, fmt.Errorf("SERVER=%.60s is no address", text)
		}
		image.Server = addr
	}
	if strings.ContainsAny(image.Disk, "/.") {
		return image, fmt.Errorf("DISK=%.60s is no name of a disk", image.Disk)
	}
	if _, ok := keys["PART"]; !ok {
		return image, fmt.Errorf("no PART= in %.60q", line)
	}
	if text := keys["MCASTKEY"]; text != "" {
		b, err := hex.DecodeString(text)
		if err == nil {
			image.Key, err = wire.NewKey(b)
		}
		if err != nil {
			return image, fmt.Errorf("MCASTKEY: %w", err) // not the text, which may be secret
		}
	}
	return image, image.numbers(keys)
}

func (i *Image) numbers(keys map[string]string) error {
	var zero, prepare, beat int
	for _, n := range []struct {
		key  string
		to   *int
		most int
	}{
		{"PART", &i.Part, partMax}, {"ZFILL", &zero, int(ZeroDisk)}, {"PREPARE", &prepare, 1},
		{"IMAGECHUNKS", &i.Chunks, chunksMax}, {"HEARTBEAT", &beat, heartbeatSecondsMax},
	} {
		text := keys[n.key]
		if text == "" {
			continue
		}
		v, err := strconv.Atoi(text)
		if err != nil || v < 0 || v > n.most {
			return fmt.Errorf("%s=%.60s: want 0 to %d", n.key, text, n.most)
		}
		*n.to = v
	}
	i.ZeroFill, i.Prepare, i.Heartbeat = ZeroFill(zero), prepare == 1, time.Duration(beat)*time.Second
	return nil
}
