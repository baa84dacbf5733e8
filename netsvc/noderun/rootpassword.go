package noderun

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

// rootPasswordWithin bounds the program that sets a password.
const rootPasswordWithin = time.Minute

// rootPassword asks for the hash of root's password and sets it.
func (w *watchdog) rootPassword(ctx context.Context) error {
	if w.setRoot == nil {
		return nil
	}
	reply, err := w.exchange(ctx, false, "rootpswd")
	if err != nil {
		return err
	}
	hash, err := parseRootHash(reply)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, rootPasswordWithin)
	defer cancel()
	return w.setRoot(ctx, hash)
}

// parseRootHash reads "HASH=$1$salt$digits". It becomes an argument of a
// program that root runs, so nothing else will do.
func parseRootHash(reply string) (string, error) {
	hash, ok := strings.CutPrefix(strings.TrimSuffix(reply, "\n"), "HASH=")
	parts := strings.Split(hash, "$")
	if !ok || len(parts) != 4 || parts[0] != "" || parts[1] != "1" || len(parts[2]) > 8 || len(parts[3]) != 22 ||
		strings.ContainsFunc(parts[2]+parts[3], notCryptDigit) {
		return "", fmt.Errorf("%.40q is no hash of a password", reply)
	}
	return hash, nil
}

func notCryptDigit(r rune) bool {
	return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '.' || r == '/')
}

// setRootPassword uses the system's own program, which knows its password
// files.
func setRootPassword(ctx context.Context, hash string, out io.Writer) error {
	cmd := exec.CommandContext(ctx, "usermod", "-p", hash, "root")
	cmd.WaitDelay = killAfter
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("usermod: %w", err)
	}
	return nil
}
