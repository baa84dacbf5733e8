package vnode

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// LoadInfo is one line of tmcd's loadinfo (page load, section 6): one image to
// put on the disk.
type LoadInfo struct {
	Addr      string // ADDR=: session address or URL; empty: ask the master
	Part      int    // 0: the whole disk
	Server    netip.Addr
	ZeroFill  int  // 0 nothing, 1 free space, 2 all of the disk first
	Prepare   bool // make what is on the disk unreadable first
	ImageID   string
	Chunks    int // 0: not said
	Path      string
	Heartbeat int               // seconds; 0: not asked for
	Keys      map[string]string // all of the line
}

// Limits of what tmcd may say.
const (
	loadLinesMax = 16
	loadKeysMax  = 64
	zeroFillMax  = 2
	partMax      = 128 // of a GPT
	chunksMax    = 1 << 21
	beatSecsMax  = 3600
)

// ParseLoadInfo reads a reply: one line per image, in order of loading.
func ParseLoadInfo(reply string) ([]LoadInfo, error) {
	var list []LoadInfo
	for line := range strings.Lines(reply) {
		if strings.TrimSpace(line) == "" {
			continue
		}
		if len(list) == loadLinesMax {
			return nil, fmt.Errorf("loadinfo: more than %d images", loadLinesMax)
		}
		info, err := parseLoadLine(line)
		if err != nil {
			return nil, fmt.Errorf("loadinfo: line %d: %w", len(list)+1, err)
		}
		list = append(list, info)
	}
	return list, nil
}

func parseLoadLine(line string) (LoadInfo, error) {
	info := LoadInfo{Keys: map[string]string{}}
	for _, word := range strings.Fields(line) {
		key, value, ok := strings.Cut(word, "=")
		if !ok || len(info.Keys) == loadKeysMax {
			return info, fmt.Errorf("word %.60q: want KEY=value, at most %d", word, loadKeysMax)
		}
		info.Keys[key] = value
	}
	info.Addr, info.ImageID, info.Path = info.Keys["ADDR"], info.Keys["IMAGEID"], info.Keys["PATH"]
	if strings.Contains(info.Addr, "NEWER-MFS-NEEDED") {
		return info, fmt.Errorf("the server wants a newer disk loader")
	}
	if s := info.Keys["SERVER"]; s != "" {
		addr, err := netip.ParseAddr(s)
		if err != nil {
			return info, fmt.Errorf("SERVER=%.60s: no address", s)
		}
		info.Server = addr
	}
	prepare := 0
	for _, n := range []struct {
		key  string
		to   *int
		most int
	}{
		{"PART", &info.Part, partMax}, {"ZFILL", &info.ZeroFill, zeroFillMax}, {"PREPARE", &prepare, 1},
		{"IMAGECHUNKS", &info.Chunks, chunksMax}, {"HEARTBEAT", &info.Heartbeat, beatSecsMax},
	} {
		if err := number(info.Keys, n.key, n.most, n.to); err != nil {
			return info, err
		}
	}
	info.Prepare = prepare == 1
	if _, ok := info.Keys["PART"]; !ok {
		return info, fmt.Errorf("no PART= in %.60q", line)
	}
	return info, nil
}

// number reads a key that may be absent.
func number(keys map[string]string, key string, most int, to *int) error {
	text := keys[key]
	if text == "" {
		return nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > most {
		return fmt.Errorf("%s=%.60s: want 0 to %d", key, text, most)
	}
	*to = n
	return nil
}
