// Command hyzerd is the appliance's daemon.
package main

import (
	"os"

	"hyzer/netsvc/appliance"
)

func main() { os.Exit(appliance.Main(os.Args[1:], os.Stderr)) }
