package chassis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sort"
	"sync"
	"time"
)

// Machine is what is in a slot. A vnode.Node is one.
type Machine interface {
	Name() string
	PowerOn()
	PowerOff() // returns when the machine is dead
	IsOn() bool
}

// Limits of the server.
const (
	headerTimeout   = 5 * time.Second
	bodyBytesMax    = 64 << 10
	shutdownTimeout = 5 * time.Second
)

// Chassis powers machines.
type Chassis struct {
	listener net.Listener
	done     chan struct{} // closed when Run ends: releases silent slots

	mu    sync.Mutex // guards slots and the faults in them
	slots map[string]*slot
}

type slot struct {
	machine Machine
	order   sync.Mutex // one order at a time
	fault   Fault
	orders  int // accepted, forgotten ones included
}

// New listens on a TCP address such as "127.0.0.1:0". Each machine is the
// Redfish system of its name.
func New(addr string, machines ...Machine) (*Chassis, error) {
	listener, err := net.Listen("tcp4", addr)
	if err != nil {
		return nil, fmt.Errorf("chassis: %w", err)
	}
	c := &Chassis{listener: listener, done: make(chan struct{}), slots: map[string]*slot{}}
	for _, m := range machines {
		if c.slots[m.Name()] != nil {
			listener.Close()
			return nil, fmt.Errorf("chassis: two machines are called %s", m.Name())
		}
		c.slots[m.Name()] = &slot{machine: m}
	}
	return c, nil
}

// URL is the address for power records, without a path.
func (c *Chassis) URL() string { return "http://" + c.listener.Addr().String() }

// Run serves until ctx ends. Machines stay as they are.
func (c *Chassis) Run(ctx context.Context) error {
	server := &http.Server{Handler: c.handler(), ReadHeaderTimeout: headerTimeout}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(c.listener) }()
	select {
	case err := <-failed:
		close(c.done)
		return fmt.Errorf("chassis: %w", err)
	case <-ctx.Done():
	}
	close(c.done)
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	err := server.Shutdown(stop)
	if serveErr := <-failed; !errors.Is(serveErr, http.ErrServerClosed) {
		err = errors.Join(err, serveErr)
	}
	return err
}

// PowerOff cuts the power of every slot, whatever faults they have.
func (c *Chassis) PowerOff() {
	var all sync.WaitGroup
	for _, id := range c.ids() {
		s := c.slot(id)
		all.Go(s.machine.PowerOff)
	}
	all.Wait()
}

// Orders is how many power orders a slot has accepted.
func (c *Chassis) Orders(id string) int {
	s := c.slot(id)
	if s == nil {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return s.orders
}

func (c *Chassis) slot(id string) *slot {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.slots[id]
}

func (c *Chassis) ids() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	ids := make([]string, 0, len(c.slots))
	for id := range c.slots {
		ids = append(ids, id)
	}
	sort.Strings(ids)
	return ids
}
