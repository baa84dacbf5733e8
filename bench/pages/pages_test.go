package pages

import (
	"fmt"
	"testing"
)

func TestCode(t *testing.T) {
	t.Parallel()
	page := "A page.\n\n    hyzer status  # how it is\n\nor `bin/hyzer log [pc1]`, `ls`:\n```sh\na - | hyzer wait 'A > B' \\\n  pc1 > x\n```\n"
	want := "[[hyzer status] [hyzer log pc1] [hyzer wait A > B pc1]]"
	var got [][]string
	for _, line := range code(page) {
		got = append(got, commands(line, []string{"hyzer"})...)
	}
	if fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
}
