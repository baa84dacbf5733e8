package emulab_test

import (
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"hyzer/storage/registry"
	"hyzer/storage/registry/emulab"
	"hyzer/storage/registry/emulab/emulabtest"
)

func importText(tb testing.TB, dumps ...string) (*registry.SiteFile, *emulab.Report) {
	tb.Helper()
	file, report, err := emulab.Import(emulab.Options{}, readers(dumps)...)
	if err != nil {
		tb.Fatal(err)
	}
	return file, report
}

// apply puts a file into a store, which checks every rule of the registry.
func apply(tb testing.TB, file *registry.SiteFile) *registry.Snapshot {
	tb.Helper()
	return emulabtest.Open(tb, file).Snapshot()
}

// TestGoldenRows imports the site of the golden exchanges without a note.
func TestGoldenRows(t *testing.T) {
	t.Parallel()
	file, report := emulabtest.GoldenSite(t)
	snap := apply(t, file)
	if n := snap.NodeCount(); n != 10 {
		t.Errorf("%d nodes, want 10", n)
	}
	pc2 := snap.NodeByWideAreaKey("00112233445566778899aabbccddeeff")
	if pc2 == nil || pc2.ID != "pc2" {
		t.Errorf("wide-area key leads to %v", pc2)
	}
	if boot := snap.Boot("pc5"); boot.Next.String() != "emulab-ops/UBUNTU20-64-STD-MFS" || boot.Def.String() != "emulab-ops/UBUNTU20-64-STD:0" {
		t.Errorf("pc5 boots %+v", boot)
	}
	if state := snap.State("pc4"); state.State != "PXEWAIT" || state.Mode != "PXEKERNEL" {
		t.Errorf("pc4 is in %+v", state)
	}
	if slots := snap.PartitionTable("pc5").Slots; len(slots) != 1 || !slots[0].Confirmed.IsZero() {
		t.Errorf("pc5 is being loaded, its slots are %+v", slots)
	}
	if slots := snap.PartitionTable("pc1").Slots; len(slots) != 1 || slots[0].Confirmed.IsZero() {
		t.Errorf("pc1 is loaded, its slots are %+v", slots)
	}
	want := emulab.TableCount{Table: "nodes", Taken: 10}
	if !slices.Contains(report.Tables, want) || !slices.Contains(report.Tables, emulab.TableCount{Table: "v2pmap", Left: 4}) {
		t.Errorf("report %+v", report.Tables)
	}
}

const smallSite = `
INSERT INTO projects (pid,pid_idx,head_uid,unix_gid) VALUES ('p',1,'u',100),('bad name',2,'u',101);
INSERT INTO users (uid,uid_idx,status,unix_uid,usr_modified,admin) VALUES ('u',1,'active',5,'2020-01-02 03:04:05',1);
INSERT INTO groups (pid,gid,unix_gid,unix_name) VALUES ('p','p',100,'p'),('q','q',1,'q');
INSERT INTO group_membership (pid,gid,uid,trust) VALUES ('p','p','u','project_root'),('p','p','ghost','user');
INSERT INTO user_pubkeys (uid,idx,pubkey) VALUES ('u',1,'k1'),('u',2,'k2'),('ghost',1,'k');
INSERT INTO os_info (osid,osname,pid,version) VALUES (1,'A','p',1),(2,'GENERIC','p',0);
INSERT INTO os_info_versions (osid,vers,op_mode,OS,version,osfeatures,nextosid,deleted) VALUES
 (1,1,'NORMALv2','Linux','2','ping,isup',NULL,NULL),(1,0,'NORMALv2','Linux','1','',NULL,NULL),(2,0,NULL,NULL,NULL,NULL,1,NULL);
INSERT INTO images (imageid,imagename,pid,gid,global) VALUES (7,'I','p','p',1),(8,'NOFILE','p','p',0);
INSERT INTO image_versions (imageid,version,path,loadpart,loadlength,default_osid,default_vers,part1_osid,part2_osid,format) VALUES
 (7,0,'/i.ndz',0,4,1,1,NULL,1,'ndz'),(8,0,'',1,1,1,0,NULL,NULL,'ndz');
INSERT INTO node_types (type,class,isvirtnode) VALUES ('t','pc',0),('vm','pcvm',1);
INSERT INTO node_type_attributes (type,attrkey,attrvalue) VALUES ('t','imageable','1'),('t','default_osid','1'),('ghost','x','y');
INSERT INTO nodes (node_id,phys_nodeid,type,role,uuid,def_boot_osid,next_boot_osid,taint_states,eventstate,op_mode) VALUES
 ('n1','n1','t','testnode','same',1,99,'useronly,blackbox','ISUP','NORMALv2'),
 ('n2','n2','t','testnode','same',2,NULL,NULL,NULL,NULL),
 ('lost','lost','ghost','testnode','x',NULL,NULL,NULL,NULL,NULL),
 ('v1','n1','vm','virtnode','v',NULL,NULL,NULL,NULL,NULL),('v2','nohost','vm','virtnode','w',NULL,NULL,NULL,NULL,NULL);
INSERT INTO interfaces (node_id,card,port,mac,IP,iface,role) VALUES
 ('n1',0,1,'020000000001','10.0.0.1','eth0','ctrl'),('n1',1,1,'020000000001','','eth1','expt'),
 ('n2',0,1,'020000000002','10.0.0.1','eth0','ctrl'),('n2',1,1,'zz','10.0.0.2','eth1','ctrl'),('ghost',0,1,'020000000003','','eth0','ctrl');
INSERT INTO experiments (pid,eid,idx,expt_head_uid) VALUES ('p','e',1,'u'),('q','e',2,'u');
INSERT INTO reserved (node_id,pid,eid,vname) VALUES ('n1','p','e','a'),('n2','p','e','a'),('v1','q','e','b');
INSERT INTO current_reloads (node_id,idx,image_id,imageid_version,mustwipe,prepare) VALUES ('n1',1,7,0,1,0),('n1',0,7,0,2,1),('n2',0,99,0,0,0);
INSERT INTO partitions (node_id,` + "`partition`" + `,osid,osid_vers,imageid,imageid_version) VALUES ('n1',2,1,0,7,0),('n1',1,1,1,NULL,NULL),('n2',1,99,0,7,0);
INSERT INTO interface_state VALUES (1,2,3),(4,5,6);
`

// TestWhatDoesNotFitIsNoted: no row disappears, and what is left satisfies the
// registry.
func TestWhatDoesNotFitIsNoted(t *testing.T) {
	t.Parallel()
	file, report := importText(t, smallSite)
	snap := apply(t, file)
	want := []string{
		`projects: name "bad name"`, `groups: no project "q"`, `group_membership: no group p/p or user "ghost"`,
		`user_pubkeys: no user "ghost"`, `image_versions: p/NOFILE version 0 has no path`, `images: p/NOFILE has no version`,
		`node_type_attributes: no type "ghost"`, `nodes: lost: no type "ghost"`, `nodes: v2: host "nohost"`,
		`nodes: n2: UUID same is used twice`, `interfaces: n1 eth1: MAC`, `interfaces: n2 eth0: address 10.0.0.1 is used twice`,
		`interfaces: n2 eth1: a second control`, `interfaces: no node "ghost"`, `experiments: no project "q"`,
		`reserved: n2: name a is used twice`, `reserved: no node "v1" or experiment "q/e"`,
		`nodes: next_boot_osid: no system "99"`, `current_reloads: image_id: no image "99"`, `current_reloads: no node "n2" or no image`,
		`partitions: osid: no system "99"`, `partitions: no node "n2"`,
	}
	for _, text := range want {
		if !slices.ContainsFunc(report.Notes, func(note string) bool { return strings.Contains(note, text) }) {
			t.Errorf("no note says %s", text)
		}
	}
	if len(report.Notes) != len(want) {
		t.Errorf("%d notes, want %d:\n%s", len(report.Notes), len(want), strings.Join(report.Notes, "\n"))
	}
	for _, count := range []emulab.TableCount{
		{"interface_state", 0, 2}, {"projects", 1, 1}, {"nodes", 3, 2}, {"interfaces", 4, 1}, {"reserved", 2, 1}, {"users", 1, 0},
	} {
		if !slices.Contains(report.Tables, count) {
			t.Errorf("report lacks %+v", count)
		}
	}
	checkSmallSite(t, snap)
}

func checkSmallSite(t *testing.T, snap *registry.Snapshot) {
	t.Helper()
	if os := snap.OS("p/A"); len(os.Versions) != 2 || os.Version(registry.Head).Release != "2" || !os.Version(1).Has("isup") {
		t.Errorf("system A: %+v", os)
	}
	if os := snap.OS("p/GENERIC"); os.Versions[0].NextOS.String() != "p/A" {
		t.Errorf("system GENERIC: %+v", os)
	}
	if image := snap.Image("p/I").Version(0); image.BootPart != 2 || image.Format != "" || len(image.Partitions) != 1 || image.BootOS.String() != "p/A:1" {
		t.Errorf("image: %+v", image)
	}
	if node := snap.Type("t"); !node.Imageable || node.DefaultOS.String() != "p/A" {
		t.Errorf("type: %+v", node)
	}
	if load := snap.Load("n1"); len(load.Images) != 2 || load.Images[0].MustWipe != 2 || !load.Images[0].Prepare {
		t.Errorf("load: %+v", load)
	}
	if run := snap.Runtime("n1"); !slices.Equal(run.Taints, []string{"useronly", "blackbox"}) {
		t.Errorf("runtime: %+v", run)
	}
	if slots := snap.PartitionTable("n1").Slots; len(slots) != 2 || slots[0].Slot != 1 || slots[1].Image.String() != "p/I:0" {
		t.Errorf("partitions: %+v", slots)
	}
	if user := snap.User("u"); !user.Modified.Equal(time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)) || len(user.PubKeys) != 2 {
		t.Errorf("user: %+v", user)
	}
	if guests := snap.Guests("n1"); !slices.Equal(guests, []string{"v1"}) {
		t.Errorf("guests: %v", guests)
	}
}

// TestDumpFormat reads the frame that mysqldump writes, columns from CREATE
// TABLE, and databases of before image versions.
func TestDumpFormat(t *testing.T) {
	t.Parallel()
	const dump = `-- MySQL dump 10.13  Distrib 5.5.40
/*!40101 SET @OLD_CHARACTER_SET_CLIENT=@@CHARACTER_SET_CLIENT */;
DROP TABLE IF EXISTS ` + "`os_info`" + `;
CREATE TABLE ` + "`os_info`" + ` (
  ` + "`osname`" + ` varchar(20) NOT NULL default '',
  ` + "`pid`" + ` varchar(12) NOT NULL default '',
  ` + "`osid`" + ` varchar(35) NOT NULL default '',
  ` + "`OS`" + ` enum('Unknown','Linux','FreeBSD') NOT NULL default 'Unknown',
  ` + "`op_mode`" + ` varchar(20) default NULL,
  ` + "`path`" + ` tinytext,
  ` + "`mfs`" + ` tinyint(4) NOT NULL default '0',
  PRIMARY KEY  (` + "`pid`,`osname`" + `),
  KEY ` + "`OS` (`OS`)" + `
) ENGINE=MyISAM DEFAULT CHARSET=latin1;
LOCK TABLES ` + "`os_info`" + ` WRITE;
/*!40000 ALTER TABLE ` + "`os_info`" + ` DISABLE KEYS */;
INSERT INTO ` + "`os_info`" + ` VALUES ('FBSD410-STD','emulab-ops','emulab-ops-FBSD410-STD','FreeBSD','NORMALv1',NULL,0),('MFS','emulab-ops','MFS','FreeBSD',NULL,'/tftpboot/x',1);
UNLOCK TABLES;
`
	file, report := importText(t, dump)
	snap := apply(t, file)
	if len(report.Notes) > 0 {
		t.Error(report.Notes)
	}
	if os := snap.OS("emulab-ops/FBSD410-STD"); os == nil || os.Versions[0].OpMode != "NORMALv1" || os.Versions[0].Family != "FreeBSD" {
		t.Errorf("system %+v", os)
	}
	if os := snap.OS("emulab-ops/MFS"); os == nil || !os.Versions[0].MFS || os.Versions[0].OpMode != "MINIMAL" {
		t.Errorf("system %+v", os)
	}
}

// TestReplaceKeepsOneRow: the later row wins, also over files.
func TestReplaceKeepsOneRow(t *testing.T) {
	t.Parallel()
	file, _, err := emulab.Import(emulab.Options{Site: registry.Site{BossIP: netip.MustParseAddr("10.0.0.1"), Vars: map[string]string{"a": "0", "z": "9"}}},
		readers([]string{
			"INSERT INTO sitevariables (name,value,defaultvalue) VALUES ('a','1','2'),('b',NULL,'3'),('c','','4');",
			"REPLACE INTO sitevariables (name,value,defaultvalue) VALUES ('a','5','2');",
		})...)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(file.Site.Vars); got != "map[a:5 b:3 c: z:9]" || !file.Site.BossIP.IsValid() {
		t.Errorf("site %+v", file.Site)
	}
}

func readers(texts []string) []io.Reader {
	list := make([]io.Reader, len(texts))
	for i, text := range texts {
		list[i] = strings.NewReader(text)
	}
	return list
}

func BenchmarkImport(b *testing.B) {
	var sql strings.Builder
	sql.WriteString("INSERT INTO node_types (type,class) VALUES ('t','pc');\n")
	for i := range 1000 {
		fmt.Fprintf(&sql, "INSERT INTO nodes (node_id,phys_nodeid,type,role) VALUES ('n%d','n%d','t','testnode');\n", i, i)
		fmt.Fprintf(&sql, "INSERT INTO interfaces (node_id,card,port,mac,IP,iface,role) VALUES ('n%d',0,1,'02%010x','10.0.%d.%d','eth0','ctrl');\n", i, i, i/256, i%256)
	}
	b.SetBytes(int64(sql.Len()))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := emulab.Import(emulab.Options{}, strings.NewReader(sql.String())); err != nil {
			b.Fatal(err)
		}
	}
}
