package states

import (
	"fmt"
	"slices"
)

// LoaderOrder is what a boot loader that waits is told unasked (shared specs,
// page bootinfo, "bootinfosend target").
type LoaderOrder string

// Orders.
const (
	OrderWakeup  LoaderOrder = "wakeup"  // ask again what to boot
	OrderReboot  LoaderOrder = "reboot"  // reset the machine
	OrderRestart LoaderOrder = "restart" // start the boot program again, from DHCP on
	OrderAnswer  LoaderOrder = "answer"  // do what it would be told if it asked
)

// LoaderOrders lists the orders.
func LoaderOrders() []LoaderOrder {
	return []LoaderOrder{OrderWakeup, OrderReboot, OrderRestart, OrderAnswer}
}

// Check refuses an order that there is not.
func (o LoaderOrder) Check() error {
	if !slices.Contains(LoaderOrders(), o) {
		return fmt.Errorf("order %.40q: want one of %v", string(o), LoaderOrders())
	}
	return nil
}

// TakesOrders reports whether a node in this state listens for orders.
func (s State) TakesOrders() bool {
	return s == StatePXEWait || s == StatePXEWakeup || s == StatePXELimbo
}
