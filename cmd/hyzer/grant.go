package main

import (
	"net/url"
	"strconv"
	"time"

	"hyzer/netsvc/control"
	"hyzer/storage/registry"
)

// imageGrant lets nodes write an image, for as long as a capture may take.
func imageGrant(e *env, args []string) error {
	fs, address := e.flags("image grant")
	period := fs.Duration("for", time.Hour, "how `long` the nodes may write it")
	most := fs.Int64("bytes-max", 0, "largest file in `bytes`, 0 for the appliance's limit")
	bootOS := fs.String("os", "", "for a new image: system that it boots, `project/name`")
	part := fs.Int("part", 0, "for a new image: partition it is of, 0 for the whole disk")
	boot := fs.Int("boot-part", 0, "for a new image of a whole disk: partition that boots")
	rest, err := e.parse(fs, address, args)
	if err != nil {
		return err
	}
	if len(rest) < 2 {
		return badUsage("want an image and nodes")
	}
	in := control.GrantRequest{
		Nodes: list(rest[1:]), Secs: int(*period / time.Second), Bytes: *most, Part: *part, Boot: *boot, By: e.getenv("USER"),
	}
	if in.Image, err = registry.ParseRef(rest[0]); err != nil {
		return badUsage("%v", err)
	}
	if *bootOS != "" {
		if in.BootOS, err = registry.ParseRef(*bootOS); err != nil {
			return badUsage("%v", err)
		}
	}
	var out []registry.UploadGrant
	if err := e.client.Call(e.ctx, "POST", "/v1/grants", in, &out); err != nil {
		return err
	}
	if e.json {
		return e.printJSON(out)
	}
	for _, g := range out {
		e.printf("%s may write %s until %s\n", g.Node, g.Image.Key(), g.Until.Format(time.RFC3339))
	}
	return nil
}

func imageGrants(e *env, args []string) error {
	if err := e.bare("image grants", args); err != nil {
		return err
	}
	var grants []registry.UploadGrant
	if err := e.client.Call(e.ctx, "GET", "/v1/grants", nil, &grants); err != nil {
		return err
	}
	if e.json {
		return e.printJSON(grants)
	}
	var rows [][]string
	for _, g := range grants {
		rows = append(rows, []string{g.Node, g.Image.Key(), g.Until.Format(time.RFC3339), strconv.FormatInt(g.Bytes, 10), dash(g.By)})
	}
	return e.table("NODE IMAGE UNTIL BYTES BY", rows)
}

func imageRevoke(e *env, args []string) error {
	nodes, err := e.simple("image revoke", args, 1, -1, "nodes")
	if err != nil {
		return err
	}
	nodes = list(nodes)
	for _, node := range nodes {
		if err := e.client.Call(e.ctx, "DELETE", "/v1/grants/"+url.PathEscape(node), nil, nil); err != nil {
			return err
		}
		if !e.json {
			e.printf("%s may write no image\n", node)
		}
	}
	if e.json {
		return e.printJSON(map[string][]string{"revoked": nodes})
	}
	return nil
}
