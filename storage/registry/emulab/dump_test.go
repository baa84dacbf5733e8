package emulab_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"hyzer/storage/registry"
	"hyzer/storage/registry/emulab"
	"hyzer/storage/registry/emulab/emulabtest"
)

// mysqldump is what the tool writes: a frame of conditional comments, column
// names from CREATE TABLE, all rows of a table in one statement, text in
// latin1, blobs in hex, triggers between DELIMITERs.
const mysqldump = "/*M!999999\\- enable the sandbox mode */ \n" +
	"-- MariaDB dump 10.19  Distrib 10.5.15-MariaDB, for debian-linux-gnu (x86_64)\n--\n-- Host: localhost    Database: tbdb\n-- ------------------------------------------------------\n" +
	"/*!40101 SET NAMES utf8mb4 */;\n/*!40103 SET TIME_ZONE='+00:00' */;\n\n" +
	"--\n-- Table structure for table `users`\n--\n\nDROP TABLE IF EXISTS `users`;\n/*!40101 SET @saved_cs_client     = @@character_set_client */;\n" +
	"CREATE TABLE `users` (\n  `uid` varchar(8) NOT NULL DEFAULT '',\n  `uid_idx` mediumint(8) unsigned NOT NULL DEFAULT 0,\n" +
	"  `usr_name` tinytext CHARACTER SET utf8 COLLATE utf8_unicode_ci DEFAULT NULL,\n  `usr_pswd` tinytext NOT NULL COMMENT 'a;b, (c)',\n" +
	"  `unix_uid` smallint(5) unsigned NOT NULL DEFAULT 0,\n  `status` enum('newuser','active','it''s') NOT NULL DEFAULT 'newuser',\n" +
	"  `usr_modified` datetime DEFAULT NULL,\n  `notes` longblob DEFAULT NULL,\n  PRIMARY KEY (`uid_idx`),\n  KEY `unix_uid` (`unix_uid`),\n" +
	"  CONSTRAINT `c` CHECK (`unix_uid` > 0)\n) ENGINE=MyISAM DEFAULT CHARSET=latin1;\n/*!40101 SET character_set_client = @saved_cs_client */;\n\n" +
	"LOCK TABLES `users` WRITE;\n/*!40000 ALTER TABLE `users` DISABLE KEYS */;\n" +
	"INSERT INTO `users` VALUES ('jose',1,'Jos\xe9 \\\"O\\'C\\\"','$1$abc',10001,'active','2021-01-02 03:04:05',0x00FF27),('anna',2,'Änna','*',10002,'it''s',NULL,NULL),\n" +
	"('zed',3,NULL,'',10003,'active','0000-00-00 00:00:00',_binary '\\0\\Z\\n');\n" +
	"/*!40000 ALTER TABLE `users` ENABLE KEYS */;\nUNLOCK TABLES;\n" +
	"/*!50003 SET sql_mode = '' */ ;\nDELIMITER ;;\n/*!50003 CREATE*/ /*!50003 TRIGGER t BEFORE INSERT ON users FOR EACH ROW BEGIN INSERT INTO users VALUES (1); END */;;\nDELIMITER ;\n" +
	"INSERT INTO `user_pubkeys` (`uid`, `idx`, `pubkey`) VALUES ('jose',1,'ssh-rsa A\\\\B');\n" +
	"/*!40101 SET CHARACTER_SET_CLIENT=@OLD_CHARACTER_SET_CLIENT */;\n-- Dump completed on 2021-01-01  0:00:00\n"

// TestMysqldump reads a dump as the tool writes it.
func TestMysqldump(t *testing.T) {
	t.Parallel()
	file, report := importText(t, mysqldump)
	want := []registry.User{
		{ID: "jose", LegacyID: 1, Name: `José "O'C"`, Password: "$1$abc", UnixUID: 10001, Status: "active",
			Modified: time.Date(2021, 1, 2, 3, 4, 5, 0, time.UTC), PubKeys: []string{`ssh-rsa A\B`}},
		{ID: "anna", LegacyID: 2, Name: "Änna", Password: "*", UnixUID: 10002, Status: "it's"},
		{ID: "zed", LegacyID: 3, UnixUID: 10003, Status: "active"},
	}
	if !reflect.DeepEqual(file.Users, want) || len(report.Notes) > 0 {
		t.Errorf("users %+v, notes %q", file.Users, report.Notes)
	}
}

// TestRoundTrip takes sites from a database through the store, the export that
// `hyzer export` writes, and a second store: nothing changes on the way. What
// nodes report is left out of an export.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	configured, err := os.ReadFile("../../../netsvc/tmcd/testdata/configured.sql")
	if err != nil {
		t.Fatal(err)
	}
	golden, _ := emulabtest.GoldenSite(t)
	file, _ := importText(t, string(configured))
	for name, site := range map[string]*registry.SiteFile{"golden": golden, "configured": file} {
		exported := exportedYAML(t, site)
		again, err := registry.ParseSiteFile(bytes.NewReader(exported))
		if err != nil {
			t.Fatal(err)
		}
		if second := exportedYAML(t, again); !bytes.Equal(exported, second) {
			t.Errorf("%s: the second export differs", name)
		}
		for _, p := range []struct {
			what      string
			got, want int
		}{
			{"nodes", len(again.Nodes), len(site.Nodes)}, {"users", len(again.Users), len(site.Users)}, {"groups", len(again.Groups), len(site.Groups)},
			{"experiments", len(again.Experiments), len(site.Experiments)}, {"images", len(again.Images), len(site.Images)},
			{"runtimes", len(again.Runtimes), len(site.Runtimes)}, {"reservations", len(again.Reservations), len(site.Reservations)},
		} {
			if p.got != p.want || p.want == 0 {
				t.Errorf("%s: %d %s, want %d", name, p.got, p.what, p.want)
			}
		}
		if !reflect.DeepEqual(again.Site, site.Site) || !reflect.DeepEqual(again.Experiments[len(again.Experiments)-1], lastExperiment(site)) {
			t.Errorf("%s: the site or an experiment changed", name)
		}
	}
}

// lastExperiment is the one whose key is the last.
func lastExperiment(site *registry.SiteFile) registry.Experiment {
	last := site.Experiments[0]
	for _, e := range site.Experiments {
		if e.Key() > last.Key() {
			last = e
		}
	}
	return last
}

func exportedYAML(t *testing.T, site *registry.SiteFile) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := apply(t, site).Export().WriteYAML(&out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// endless writes rows of one statement until it has written a number of bytes,
// and looks at the heap now and then.
type endless struct {
	left    int
	begun   bool
	row     int
	pending []byte
	heapMax uint64
}

func (e *endless) Read(b []byte) (int, error) {
	for len(e.pending) == 0 {
		switch {
		case !e.begun:
			e.begun = true
			e.pending = []byte("INSERT INTO `log` VALUES (0,'')")
		case e.left <= 0:
			return 0, io.EOF
		default:
			e.row++
			e.pending = fmt.Appendf(nil, ",(%d,'%s')", e.row, strings.Repeat(`it\'s `, 300))
			e.left -= len(e.pending)
			if e.row%2000 == 0 {
				e.look()
			}
		}
	}
	n := copy(b, e.pending)
	e.pending = e.pending[n:]
	return n, nil
}

func (e *endless) look() {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	e.heapMax = max(e.heapMax, stats.HeapAlloc)
}

// TestMemoryIsBounded reads 16 MB of one statement on one line. It runs alone:
// it looks at the whole heap.
func TestMemoryIsBounded(t *testing.T) {
	const heapGrowthMax = 4 << 20
	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	dump := &endless{left: 16 << 20}
	_, report, err := emulab.Import(emulab.Options{}, dump)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Tables) != 1 || report.Tables[0].Left != dump.row+1 {
		t.Errorf("report %+v, %d rows", report.Tables, dump.row+1)
	}
	if dump.heapMax > before.HeapAlloc+heapGrowthMax {
		t.Errorf("heap grew from %d to %d bytes", before.HeapAlloc, dump.heapMax)
	}
}

// TestImportAgain: a second import of a dump into the site that the first made
// changes nothing of it.
func TestImportAgain(t *testing.T) {
	t.Parallel()
	dump, err := os.ReadFile("../../../netsvc/tmcd/testdata/configured.sql")
	if err != nil {
		t.Fatal(err)
	}
	first, _ := importText(t, string(dump))
	second, _, err := emulab.Import(emulab.Options{Site: *first.Site}, bytes.NewReader(dump))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(first.Site, second.Site) {
		t.Errorf("site %+v\nthen %+v", first.Site, second.Site)
	}
}
