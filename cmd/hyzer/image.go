package main

import (
	"fmt"
	"strconv"

	"hyzer/netsvc/control"
	"hyzer/storage/registry"
)

func image(e *env, args []string) error {
	verb, args := splitVerb(args)
	switch verb {
	case "list":
		return imageList(e, args)
	case "add":
		return imageAdd(e, args)
	case "grant":
		return imageGrant(e, args)
	case "grants":
		return imageGrants(e, args)
	case "revoke":
		return imageRevoke(e, args)
	}
	return subverb(e, "image", verb, args, "list, add, grant, grants or revoke")
}

func imageList(e *env, args []string) error {
	if err := e.bare("image list", args); err != nil {
		return err
	}
	var images []registry.Image
	if err := e.client.Call(e.ctx, "GET", "/v1/images", nil, &images); err != nil {
		return err
	}
	if e.json {
		return e.printJSON(images)
	}
	var rows [][]string
	for _, img := range images {
		for _, v := range img.Versions {
			rows = append(rows, []string{fmt.Sprintf("%s/%s:%d", img.Project, img.Name, v.Version), strconv.FormatInt(v.SizeBytes, 10), strconv.Itoa(v.LoadPart), dash(v.BootOS.String()), v.Path})
		}
	}
	return e.table("IMAGE BYTES PART BOOTS FILE", rows)
}

func imageAdd(e *env, args []string) error {
	fs, address := e.flags("image add")
	file := fs.String("file", "", "image `file` in the appliance's image folder")
	bootOS := fs.String("os", "", "system that it boots, `project/name`")
	part := fs.Int("part", 0, "partition it is loaded into, 0 for the whole disk")
	boot := fs.Int("boot-part", 0, "partition that boots, for a whole disk")
	rest, err := e.parse(fs, address, args)
	if err != nil {
		return err
	}
	if len(rest) != 1 || *file == "" || *bootOS == "" {
		return badUsage("want one image with --file and --os")
	}
	in := control.ImageRequest{File: *file, Part: *part, Boot: *boot}
	if in.Image, err = registry.ParseRef(rest[0]); err != nil {
		return badUsage("%v", err)
	}
	if in.BootOS, err = registry.ParseRef(*bootOS); err != nil {
		return badUsage("%v", err)
	}
	var out registry.Image
	if err := e.client.Call(e.ctx, "POST", "/v1/images", in, &out); err != nil {
		return err
	}
	if e.json {
		return e.printJSON(out)
	}
	e.printf("added %s:%d\n", in.Image.Key(), out.Versions[len(out.Versions)-1].Version)
	return nil
}
