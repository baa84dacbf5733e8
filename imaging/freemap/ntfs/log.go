package ntfs

import (
	"encoding/binary"
	"errors"
	"fmt"

	"hyzer/imaging/freemap"
)

// The restart pages with which $LogFile begins: the first two pages of it, of
// which the one with the newer position counts.
const (
	recordLog       = 2
	restartBytes    = 512 // of a page, with all that matters
	restartPages    = 2
	offLogPage      = 16
	offRestartArea  = 24
	restartAreaMin  = 30
	restartAreaSize = 16
	areaClient      = 12
	areaFlags       = 14
	noClient        = 0xffff
	logIsClean      = 2
	logPageMin      = 512
	logPageMax      = 64 << 10
	logPageDefault  = 4096
)

var errLog = errors.New("$LogFile has changes that are not in the volume: shut Windows down without hibernation, or run chkdsk")

// clean fails if the bitmap may not say what is in use: the volume is marked
// dirty, or its last changes are only in the log.
func (v *volume) clean() error {
	info, err := v.attribute(recordVolume, attrVolumeInfo)
	if err != nil {
		return fmt.Errorf("$Volume: %w", err)
	}
	if value, err := resident(info); err != nil || len(value) < 12 || value[10]&volumeDirty != 0 {
		return errors.New("volume is dirty: run chkdsk")
	}
	attr, err := v.attribute(recordLog, attrData)
	if err != nil {
		return fmt.Errorf("$LogFile: %w", err)
	}
	extents, err := v.extents(attr)
	if err != nil || len(extents) == 0 {
		return fmt.Errorf("$LogFile: %w", errors.Join(err, errLog))
	}
	return v.checkLog(int64(extents[0].cluster*v.clusterBytes), int64(extents[0].count*v.clusterBytes))
}

// checkLog looks at the restart pages of the log, which begins with the size
// bytes from at on.
func (v *volume) checkLog(at, size int64) error {
	page, empty, found, newest, clean := int64(0), 0, false, uint64(0), false
	for range restartPages {
		b := make([]byte, restartBytes)
		if page+restartBytes > size {
			return fmt.Errorf("$LogFile begins with a piece of %d bytes: %w", size, errLog)
		}
		if err := freemap.ReadFull(v.r, b, at+page); err != nil {
			return fmt.Errorf("$LogFile: %w", err)
		}
		if binary.LittleEndian.Uint32(b) == ^uint32(0) {
			empty++
		} else if lsn, ok, valid := restart(b); valid && (!found || lsn > newest) {
			found, newest, clean = true, lsn, ok
		}
		if page = logPageDefault; found {
			page = int64(binary.LittleEndian.Uint32(b[offLogPage:]))
		}
	}
	if empty == restartPages || found && clean {
		return nil
	}
	return errLog
}

// restart decodes a restart page: its position in the log, and whether the
// volume was unmounted then.
func restart(b []byte) (lsn uint64, clean, valid bool) {
	le := binary.LittleEndian
	page, area := le.Uint32(b[offLogPage:]), int(le.Uint16(b[offRestartArea:]))
	if m := string(b[:4]); m != "RSTR" && m != "CHKD" || page < logPageMin || page > logPageMax || page&(page-1) != 0 ||
		area < restartAreaMin || area%8 != 0 || area+restartAreaSize > fixupUnit-2 {
		return 0, false, false
	}
	a := b[area:]
	return le.Uint64(a), le.Uint16(a[areaClient:]) == noClient || le.Uint16(a[areaFlags:])&logIsClean != 0, true
}
