// Package figure draws the comparisons of bench as bars in SVG. It knows
// nothing of what is compared; bench/imaging and bench/multicast call it.
package figure

import (
	"bytes"
	"encoding/xml"
	"fmt"
)

// Bar is one bar.
type Bar struct {
	Group string // bars are to scale within a group
	Label string
	Value float64
	Text  string // at its end
	Ours  bool   // drawn in colour
}

// Sizes of a figure, in pixels.
const (
	width       = 860
	labelWidth  = 300
	barWidthMax = 460
	rowHeight   = 22
)

// Bars returns an SVG of the bars in their order.
func Bars(title string, bars []Bar) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="13">`+"\n",
		width, (len(bars)+2)*rowHeight)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="#fff"/><text x="10" y="%d" font-weight="bold">`, rowHeight-6)
	escape(&b, title)
	b.WriteString("</text>\n")
	longest := map[string]float64{}
	for _, bar := range bars {
		longest[bar.Group] = max(longest[bar.Group], bar.Value)
	}
	for i, bar := range bars {
		y := (i + 2) * rowHeight
		color := "#9aa5b1"
		if bar.Ours {
			color = "#1f6feb"
		}
		length := 0.0
		if bar.Value > 0 {
			length = barWidthMax * bar.Value / longest[bar.Group]
		}
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">`, labelWidth-8, y)
		escape(&b, bar.Group+": "+bar.Label)
		fmt.Fprintf(&b, `</text><rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/><text x="%.1f" y="%d">`,
			labelWidth, y-13, length, rowHeight-6, color, labelWidth+length+6, y)
		escape(&b, bar.Text)
		b.WriteString("</text>\n")
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

func escape(b *bytes.Buffer, text string) {
	_ = xml.EscapeText(b, []byte(text)) // a bytes.Buffer does not fail
}

// Ratio is ours to theirs with two digits, or "-" if one of them is unknown.
func Ratio(ours, theirs float64) string {
	if ours == 0 || theirs == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", ours/theirs)
}
