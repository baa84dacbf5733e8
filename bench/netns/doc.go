// Package netns makes network namespaces for tests on real ports: one with a
// bridge, where a server lives, and one behind each port of the bridge.
//
// Namespaces have no names in the file system. A descriptor is all that keeps
// one alive, so that the kernel takes namespaces, bridge and links away when
// they are closed, and also when the process panics or is killed; nothing of
// them is ever in the namespace that the process started in. Inside, links are
// called hyz-<pid>-<number>.
//
// It needs root (CAP_SYS_ADMIN and CAP_NET_ADMIN) and the ip command of
// iproute2; New says which of them is missing, wrapped in ErrUnavailable.
//
// The callers are tests and cmd/hyzer-bench.
package netns
