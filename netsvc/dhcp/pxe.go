package dhcp

import "net/netip"

// Sub-options of option 43 in the PXE space (PXE 2.1 §3.1).
const (
	pxeDiscoveryControl = 6
	pxeBootMenu         = 9
	pxeMenuPrompt       = 10
	pxeBootItem         = 71
	pxeBootinfoServer   = 128 // Emulab's: address of the bootinfo server
	pxeEnd              = 255
	// pxeJustBoot is the discovery control that means: load the file of this
	// offer, discover nothing.
	pxeJustBoot = 8
	// pxeShowMenu is the discovery control for a menu of one local entry: no
	// broadcast, no multicast discovery.
	pxeShowMenu = 3
)

// appendPXEOptions appends option 43 for a PXE client told to load the file of
// this message. A menu text is for ROMs that boot only what shows it (the
// Raspberry Pi wants "Raspberry Pi Boot").
func appendPXEOptions(dst []byte, menu string, bootinfo netip.Addr) []byte {
	if menu == "" {
		dst = append(dst, pxeDiscoveryControl, 1, pxeJustBoot)
	} else {
		menu = menu[:min(len(menu), pxeMenuBytesMax)]
		dst = append(dst, pxeDiscoveryControl, 1, pxeShowMenu)
		dst = append(dst, pxeMenuPrompt, 4, 0, 'P', 'X', 'E')
		dst = append(dst, pxeBootMenu, uint8(3+len(menu)), 0, 0, uint8(len(menu)))
		dst = append(dst, menu...)
	}
	if bootinfo.Is4() {
		octets := bootinfo.As4()
		dst = append(dst, pxeBootinfoServer, 4)
		dst = append(dst, octets[:]...)
	}
	return append(dst, pxeEnd)
}

// pxeMenuBytesMax leaves room for everything else in option 43.
const pxeMenuBytesMax = 128

// bootItem returns sub-option 71 of the request's option 43: the boot server
// type and layer a client asks a server on 4011 for.
func bootItem(p *Packet) ([]byte, bool) {
	v, ok := p.Option(OptVendorSpecific)
	if !ok {
		return nil, false
	}
	item, ok := subOption(v, pxeBootItem)
	return item, ok && len(item) == 4
}
