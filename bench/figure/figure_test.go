package figure

import (
	"encoding/xml"
	"io"
	"strings"
	"testing"
)

// TestBars reads the figure back: it is XML whatever the labels are, and bars
// are to scale within their group.
func TestBars(t *testing.T) {
	t.Parallel()
	svg := string(Bars("a < b", []Bar{
		{"one", "us & them", 1, "1.00", true}, {"one", "others", 4, "4.00", false},
		{"two", "us", 0, "0", true},
	}))
	d := xml.NewDecoder(strings.NewReader(svg))
	var widths, texts []string
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch e := token.(type) {
		case xml.StartElement:
			for _, a := range e.Attr {
				if e.Name.Local == "rect" && a.Name.Local == "width" {
					widths = append(widths, a.Value)
				}
			}
		case xml.CharData:
			if text := strings.TrimSpace(string(e)); text != "" {
				texts = append(texts, text)
			}
		}
	}
	if got := strings.Join(widths, " "); got != "100% 115.0 460.0 0.0" {
		t.Errorf("widths %s", got)
	}
	if got := strings.Join(texts, "; "); got != "a < b; one: us & them; 1.00; one: others; 4.00; two: us; 0" {
		t.Errorf("texts %s", got)
	}
}

func TestRatio(t *testing.T) {
	t.Parallel()
	if got := Ratio(1, 4) + " " + Ratio(0, 4) + " " + Ratio(1, 0); got != "0.25 - -" {
		t.Errorf("ratios %s", got)
	}
}
