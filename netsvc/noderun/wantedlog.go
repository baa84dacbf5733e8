package noderun

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// errNoLog is a node that has kept no log of its last boot.
var errNoLog = errors.New("no log of a boot in the folder")

// wantedLog sends the log of the last boot, which somebody wants: that of a boot
// that went well may not be at the appliance, and that of a container never is.
func (w *watchdog) wantedLog(ctx context.Context) error {
	log, err := newestLog(w.logs)
	if err != nil {
		return err
	}
	w.note("the appliance wants the log %s", log)
	_, err = w.retried(ctx, Call{Words: []string{"bootlog"}, File: log})
	return err
}

// newestLog is the newest log of a boot of this node; those of vnodesetup are
// other nodes'.
func newestLog(folder string) (newest string, err error) {
	var at time.Time
	for _, name := range []string{"bootsetup", "injail", "cdboot"} {
		path := filepath.Join(folder, name+".log")
		info, err := os.Lstat(path)
		if err == nil && info.Mode().IsRegular() && info.Size() > 0 && (newest == "" || info.ModTime().After(at)) {
			newest, at = path, info.ModTime()
		}
	}
	if newest == "" {
		return "", fmt.Errorf("%s: %w", folder, errNoLog)
	}
	return newest, nil
}
