package main

import (
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"hyzer/netsvc/control"
	"hyzer/storage/registry"
)

// imageMemoryBytes is what the collector of garbage holds the verbs to, so that
// buffers that were used do not add up beside those in use.
const imageMemoryBytes = 200 << 20

// imageVerbs are what can be done with images: with those that the appliance
// knows, and with image files, for which no appliance is needed.
func imageVerbs() map[string]verb {
	return map[string]verb{
		"list":    {"", "show the images of the appliance", imageList},
		"add":     {"PROJECT/NAME --file F --os PROJECT/NAME", "register an image with the appliance", imageAdd},
		"grant":   {"PROJECT/NAME NODE...", "let nodes upload an image", imageGrant},
		"grants":  {"", "show which nodes may upload what", imageGrants},
		"revoke":  {"NODE...", "let nodes upload no more", imageRevoke},
		"make":    {"DISK IMAGE", "make an image file of a disk, partition or file", imageMake},
		"restore": {"IMAGE DISK", "restore an image file to a disk or file", imageRestore},
		"info":    {"IMAGE", "show what an image file holds", imageInfo},
		"verify":  {"IMAGE...", "decode all of an image file and check all that can be checked", imageVerify},
		"ls":      {"IMAGE[:PART] [PATH...]", "list files in an image file", imageFiles},
		"cat":     {"IMAGE[:PART] PATH...", "print files in an image file", imageCat},
		"diff":    {"IMAGE IMAGE", "show where two image files differ", imageDiff},
		"delta":   {"BASE IMAGE DELTA", "make a delta of two image files", imageDelta},
		"rebase":  {"BASE,DELTA NEWBASE NEW | IMAGE NEW", "put a delta on another base, or make a chain one image", imageRebase},
		"convert": {"IMAGE NEW", "make an image or a disk of another format", imageConvert},
	}
}

func image(e *env, args []string) error {
	name, rest := splitVerb(args)
	all := imageVerbs()
	v, ok := all[name]
	if name == "" && slices.ContainsFunc(rest, func(a string) bool { return slices.Contains([]string{"-h", "-help", "--help"}, a) }) {
		return imageHelp(e, all)
	}
	if !ok {
		return subverb(e, "image", name, rest, strings.Join(slices.Sorted(maps.Keys(all)), ", "))
	}
	debug.SetMemoryLimit(imageMemoryBytes)
	e.verb, e.name = v, "image "+name
	err := v.run(e, rest)
	if errors.Is(err, errUsage) {
		fmt.Fprintf(e.errs, "hyzer image %s: %v\nusage: %s\n", name, err, v.usage("image "+name))
		return exitStatus(exitUsage)
	}
	return err
}

// imageHelp tells what the verbs do.
func imageHelp(e *env, all map[string]verb) error {
	e.printf("usage: %s\n", e.verb.usage(e.name))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		e.printf("  %-8s %s\n           %s\n", name, all[name].about, all[name].usage("image "+name))
	}
	e.printf("IMAGE is a file, or a full image with the deltas over it: full.ndz,monday.ndz. Flags of a verb: hyzer image VERB --help.\n")
	return nil
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
