package states

import "testing"

func TestDot(t *testing.T) {
	t.Parallel()
	tables, err := Parse([]byte(tiny))
	if err != nil {
		t.Fatal(err)
	}
	want := `digraph "A" {
  "UP" [label="UP\n+RESET"];
  "DOWN" [label="DOWN\n1m0s STATE UP"];
  "UP" -> "DOWN";
  "DOWN" -> "B/UP" [style=dashed];
}
`
	if got := tables.Dot("A"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := tables.Dot("C"); got != "digraph \"C\" {\n}\n" {
		t.Errorf("an unknown mode gave %q", got)
	}
}
