package main

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"hyzer/netsvc/control"
	"hyzer/storage/registry"
)

func node(e *env, args []string) error {
	verb, args := splitVerb(args)
	switch verb {
	case "list":
		return nodeList(e, args)
	case "show":
		return nodeShow(e, args)
	case "add":
		return nodeAdd(e, args)
	case "delete":
		return nodeDelete(e, args)
	}
	return subverb(e, "node", verb, args, "list, show, add or delete")
}

func nodeList(e *env, args []string) error {
	if err := e.bare("node list", args); err != nil {
		return err
	}
	var nodes []control.Node
	if err := e.client.Call(e.ctx, "GET", "/v1/nodes", nil, &nodes); err != nil {
		return err
	}
	if e.json {
		return e.printJSON(nodes)
	}
	var rows [][]string
	for _, n := range nodes {
		held := "free"
		if n.Reservation != nil {
			held = strings.TrimSuffix(n.Reservation.Experiment+"/"+n.Reservation.VName, "/")
		}
		rows = append(rows, []string{n.ID, n.Type, dash(addrText(n.ControlIP())), dash(n.State.Mode), dash(n.State.State), ago(n.State.Since), held, progressText(n.Progress)})
	}
	return e.table("NODE TYPE ADDRESS MODE STATE SINCE RESERVED LOAD", rows)
}

func progressText(p *control.Progress) string {
	if p == nil || p.ChunksTotal == 0 {
		return "-"
	}
	return fmt.Sprintf("%d%%", 100*p.ChunksDone/p.ChunksTotal)
}

func addrText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func nodeShow(e *env, args []string) error {
	rest, err := e.simple("node show", args, 1, 1, "one node")
	if err != nil {
		return err
	}
	var n control.Node
	if err := e.client.Call(e.ctx, "GET", "/v1/nodes/"+url.PathEscape(rest[0]), nil, &n); err != nil {
		return err
	}
	return e.printJSON(n) // there is no shorter form that hides nothing
}

func nodeAdd(e *env, args []string) error {
	fs, address := e.flags("node add")
	typ := fs.String("type", "", "node `type`")
	mac := fs.String("mac", "", "hardware `address` of the control interface")
	ip := fs.String("ip", "", "control `address`")
	iface := fs.String("interface", "eth0", "`name` of the control interface")
	driver := fs.String("power", "", "power `driver`: redfish or exec")
	powerAddr := fs.String("power-address", "", "`URL` of the controller, or path of the command")
	outlet := fs.String("outlet", "", "outlet, or Redfish system `id`")
	user := fs.String("power-user", "", "`name` of the controller's user")
	secret := fs.String("power-secret-file", "", "`file` of the appliance with that user's password")
	insecure := fs.Bool("power-insecure", false, "accept any certificate of the controller")
	expt := fs.String("experiment", "", "reserve to `project/experiment`")
	vname := fs.String("vname", "", "`name` in the experiment")
	rest, err := e.parse(fs, address, args)
	if err != nil {
		return err
	}
	if len(rest) != 1 || *typ == "" || *mac == "" || *ip == "" {
		return badUsage("want one node with --type, --mac and --ip")
	}
	control, err := controlInterface(*iface, *mac, *ip)
	if err != nil {
		return badUsage("%v", err)
	}
	if *vname != "" && *expt == "" {
		return badUsage("--vname needs --experiment")
	}
	in := newNode(rest[0], *typ, control)
	in.Node.Power = registry.Power{Driver: *driver, Address: *powerAddr, Outlet: *outlet, User: *user, SecretFile: *secret, Insecure: *insecure}
	if *expt != "" {
		in.Reservation = &registry.Reservation{Experiment: *expt, VName: *vname, Role: "node"}
	}
	var added json.RawMessage
	if err := e.client.Call(e.ctx, "POST", "/v1/nodes", in, &added); err != nil {
		return err
	}
	if e.json {
		return e.printJSON(added)
	}
	e.printf("added %s\n", rest[0])
	return nil
}

func newNode(id, typ string, ctrl registry.Interface) *control.NewNode {
	return &control.NewNode{Node: registry.Node{ID: id, Type: typ, Role: registry.RoleTestNode, Interfaces: []registry.Interface{ctrl}}}
}

func controlInterface(name, mac, ip string) (registry.Interface, error) {
	hw, err := registry.ParseMAC(mac)
	if err != nil {
		return registry.Interface{}, err
	}
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return registry.Interface{}, err
	}
	return registry.Interface{Name: name, Role: registry.InterfaceControl, MAC: hw, IP: addr}, nil
}

func nodeDelete(e *env, args []string) error {
	rest, err := e.simple("node delete", args, 1, -1, "nodes to delete")
	if err != nil {
		return err
	}
	nodes := list(rest)
	for _, id := range nodes {
		if err := e.client.Call(e.ctx, "DELETE", "/v1/nodes/"+url.PathEscape(id), nil, nil); err != nil {
			return err
		}
		if !e.json {
			e.printf("deleted %s\n", id)
		}
	}
	if e.json {
		return e.printJSON(map[string][]string{"deleted": nodes})
	}
	return nil
}

// subverb answers a second word that is missing or wrong, or asks for help.
func subverb(e *env, name, verb string, args []string, want string) error {
	if verb == "" {
		fs, address := e.flags(name)
		if _, err := e.parse(fs, address, args); err != nil {
			return err
		}
		return badUsage("want %s", want)
	}
	return badUsage("%s %q: want %s", name, verb, want)
}
