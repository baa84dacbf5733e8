package emulab

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

// readAll reads rows of every table but those named "skip...".
func readAll(sql string) (rows, skipped []string, err error) {
	err = ReadRows(strings.NewReader(sql), func(t string) bool { return !strings.HasPrefix(t, "skip") }, func(r Row) error {
		line := fmt.Sprintf("%d %s", r.Line, r.Table)
		for i, v := range r.Values {
			if v.Null {
				line += fmt.Sprintf(" %s=NULL", r.Columns[i])
			} else {
				line += fmt.Sprintf(" %s=%q", r.Columns[i], v.Text)
			}
		}
		rows = append(rows, line)
		return nil
	}, func(t string) { skipped = append(skipped, t) })
	return rows, skipped, err
}

// TestReadRows reads every form that dumps and scripts have.
func TestReadRows(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, sql, rows string }{
		{"one row", "INSERT INTO t (a,b) VALUES (1,'x');", `1 t a="1" b="x"`},
		{"replace, backticks, schema", "REPLACE INTO `db`.`t` (`A`) VALUES ('x')", `1 t a="x"`},
		{"several rows", "INSERT INTO t (a) VALUES (1),\n(2),(3);", `1 t a="1"|2 t a="2"|2 t a="3"`},
		{"options", "insert low_priority ignore into t (a) value (1);", `1 t a="1"`},
		{"no INTO", "REPLACE t (a) VALUES (1);", `1 t a="1"`},
		{"escapes", `INSERT INTO t (a) VALUES ('O\'C "q" \\ \n\t\0\Z it''s \%');`, `1 t a="O'C \"q\" \\ \n\t\x00\x1a it's \\%"`},
		{"double quotes", `INSERT INTO t (a) VALUES ("it's ""x""");`, `1 t a="it's \"x\""`},
		{"null and constants", "INSERT INTO t (a,b,c,d) VALUES (NULL,TRUE,false,'NULL');", `1 t a=NULL b="1" c="0" d="NULL"`},
		{"numbers", "INSERT INTO t (a,b,c,d) VALUES (-5,1.5e-3,+7,0);", `1 t a="-5" b="1.5e-3" c="+7" d="0"`},
		{"hex", "INSERT INTO t (a,b,c) VALUES (0x4142,x'4344',_binary 'x');", `1 t a="AB" b="CD" c="x"`},
		{"function", "INSERT INTO t (a,b) VALUES (now(),unix_timestamp('x,y)'));", `1 t a="now" b="unix_timestamp"`},
		{"comments", "-- INSERT INTO t (a) VALUES (0);\n# x ' y\n/* ; ' */ INSERT /*!999 x */ INTO t (a) -- z\nVALUES (1);", `4 t a="1"`},
		{"minus is no comment", "INSERT INTO t (a) VALUES (3--4);", `1 t a="3--4"`},
		{"create gives columns", "CREATE TABLE IF NOT EXISTS `t` (\n `a` int(5) NOT NULL default '0',\n `key` enum('x','y,(') default NULL,\n" +
			" PRIMARY KEY (`a`,`key`), KEY `k` (`a`(10)), UNIQUE KEY u (a)) ENGINE=MyISAM COMMENT='a;b';\nINSERT INTO t VALUES (1,'x');",
			`5 t a="1" key="x"`},
		{"create as select", "CREATE TABLE t SELECT 1; INSERT INTO t (a) VALUES (1);", `1 t a="1"`},
		{"other statements", "SET x='a;b'; LOCK TABLES `t` WRITE; DROP TABLE t; INSERT INTO t (a) VALUES (1); UNLOCK TABLES;", `1 t a="1"`},
		{"on duplicate", "INSERT INTO t (a) VALUES (1) ON DUPLICATE KEY UPDATE a=VALUES(a); INSERT INTO t (a) VALUES (2);", `1 t a="1"|1 t a="2"`},
		{"empty", " ;; \n", ""},
		{"no semicolon at the end of a comment", "-- x", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			rows, _, err := readAll(tc.sql)
			if got := strings.Join(rows, "|"); err != nil || got != tc.rows {
				t.Errorf("got  %s, %v\nwant %s", got, err, tc.rows)
			}
		})
	}
}

// TestReadRowsErrors names the line and what is wrong.
func TestReadRowsErrors(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ sql, message string }{
		{"\nINSERT INTO t (a) VALUES ('x", "line 2: not MySQL text: string has no end"},
		{"INSERT INTO t (a) VALUES (1", "values have no end"},
		{"INSERT INTO t VALUES (1);", "1 values for 0 columns"},
		{"INSERT INTO t (a,b) VALUES (1);", "1 values for 2 columns"},
		{"INSERT INTO t (a) SELECT 1;", "want VALUES"},
		{"INSERT INTO t (a VALUES (1);", "want ',' or ')'"},
		{"INSERT INTO 'x' (a) VALUES (1);", "want a name"},
		{"INSERT INTO t (a) VALUES (0xZZ);", ""},
		{"/* x", "comment has no end"},
		{"CREATE TABLE t (a int", "has no end"},
		{"INSERT INTO t (a) VALUES ('" + strings.Repeat("x", valueBytesMax+1) + "');", "value is over"},
		{"INSERT INTO t (a) VALUES (x'4');INSERT INTO t (a) VALUES (x'4g')", "hex literal"},
		{strings.Repeat("x", nameLengthMax+1), "is too long"},
	} {
		_, _, err := readAll(tc.sql)
		if tc.message != "" && (!errors.Is(err, errSyntax) || !strings.Contains(err.Error(), tc.message)) {
			t.Errorf("%.60q: %v, want %q", tc.sql, err, tc.message)
		}
	}
}

// TestUnwantedRowsCostNothing: values of other tables may be of any size.
func TestUnwantedRowsCostNothing(t *testing.T) {
	t.Parallel()
	sql := "INSERT INTO skip1 VALUES (1,'" + strings.Repeat("x", 3*valueBytesMax) + "'),(2,0x" + strings.Repeat("41", 3*valueBytesMax) + ");" +
		"INSERT INTO t (a) VALUES (1);"
	rows, skipped, err := readAll(sql)
	if err != nil || len(rows) != 1 || !slices.Equal(skipped, []string{"skip1", "skip1"}) {
		t.Errorf("rows %v, skipped %v, %v", rows, skipped, err)
	}
}

// TestReadErrorIsReturned passes a failing reader's error on.
func TestReadErrorIsReturned(t *testing.T) {
	t.Parallel()
	broken := errors.New("disk")
	r := io.MultiReader(strings.NewReader("INSERT INTO t (a) VALUES (1), (2"), errReader{broken})
	err := ReadRows(r, func(string) bool { return true }, func(Row) error { return nil }, func(string) {})
	if !errors.Is(err, broken) {
		t.Errorf("%v, want %v", err, broken)
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }
