package chassis

import "fmt"

// FaultKind is a way in which a controller misbehaves.
type FaultKind int

// The faults.
const (
	Healthy FaultKind = iota
	Forgets           // accepts orders and does nothing
	Refuses           // answers orders with 500
	Lies              // shows the opposite of the power state
	Silent            // takes requests and never answers
)

// Fault is what is wrong with a slot.
type Fault struct {
	Kind FaultKind
	// Times is how many requests it strikes; 0: all.
	Times int
}

// SetFault makes a slot misbehave, or with a zero Fault behave again.
func (c *Chassis) SetFault(id string, f Fault) error {
	s := c.slot(id)
	if s == nil {
		return fmt.Errorf("chassis: no slot %q", id)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s.fault = f
	return nil
}

// strikes reports whether a fault of one of these kinds strikes, and counts it.
func (c *Chassis) strikes(s *slot, kinds ...FaultKind) FaultKind {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, kind := range kinds {
		if kind != s.fault.Kind {
			continue
		}
		if s.fault.Times > 0 {
			if s.fault.Times--; s.fault.Times == 0 {
				s.fault = Fault{}
			}
		}
		return kind
	}
	return Healthy
}
