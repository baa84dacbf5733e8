-- A site that uses what the golden one does not: firewalls, remote storage,
-- tunnels, traces, client services and so on.
CREATE TABLE `projects` (`pid` varchar(48) NOT NULL default '', `pid_idx` mediumint(8), `head_uid` varchar(8), `unix_gid` int(5), PRIMARY KEY (`pid`)) ENGINE=MyISAM DEFAULT CHARSET=latin1;
INSERT INTO `projects` VALUES ('p',1,'alice',100),('emulab-ops',2,'elabman',101);
INSERT INTO users (uid,uid_idx,status,unix_uid,usr_modified,admin) VALUES ('alice',1,'active',5,'2020-01-02 03:04:05',0);
INSERT INTO `groups` (pid,gid,unix_gid,unix_name) VALUES ('p','p',100,'p'),('p','sub',102,'p-sub');
INSERT INTO group_membership (pid,gid,uid,trust) VALUES ('p','p','alice','project_root'),('p','sub','alice','group_root');
INSERT INTO sitevariables (name,value,defaultvalue) VALUES ('node/ssh_pubkey','ssh-rsa SITE','') ,('general/arplockdown','static','none'),
 ('general/disk_trim_interval',NULL,'3600'),('watchdog/interval',NULL,'60'),('watchdog/isalive/local',NULL,'3'),('nodecheck/collect',NULL,'1'),('nodecheck/check','2','0');
INSERT INTO node_types (type,class,isvirtnode,isremotenode,issubnode) VALUES ('pc','pc',0,0,0),('vm','pcvm',1,0,0),('far','pc',0,1,0),('mica2','mote',0,0,1),('srv','misc',0,0,0);
INSERT INTO nodes (node_id,phys_nodeid,type,role,uuid,rpms,tarballs,startupcmd,startstatus,routertype,def_boot_osid) VALUES
 ('pc9','pc9','pc','testnode','uuid-9','/proj/p/a.rpm','/usr /proj/p/a.tgz','/proj/p/start','none','manual',1);
INSERT INTO nodes (node_id,phys_nodeid,type,role,jailflag,sshdport) VALUES
 ('n1','n1','pc','testnode',0,0),('n2','n2','pc','testnode',0,0),('fw1','fw1','pc','testnode',0,0),('sb','sb','pc','testnode',0,0),
 ('r1','r1','far','testnode',0,0),('v1','n1','vm','virtnode',1,30001),('m1','n1','mica2','testnode',0,0),('boss','boss','srv','ctrlnode',0,0),
 ('ld','ld','pc','testnode',0,0);
INSERT INTO interfaces (node_id,card,port,mac,IP,mask,iface,role,interface_type) VALUES
 ('n1',0,1,'020000000001','127.0.1.1','255.255.255.0','eth0','ctrl','igb'),('n1',1,1,'0200000000a1','10.1.0.1','255.255.0.0','eth1','expt','igb'),
 ('n2',0,1,'020000000002','127.0.1.2','255.255.255.0','eth0','ctrl','igb'),('n2',1,1,'0200000000a2','10.1.0.2','255.255.0.0','eth1','expt','igb'),
 ('fw1',0,1,'020000000003','127.0.1.3','255.255.255.0','eth0','ctrl','igb'),('sb',0,1,'020000000004','127.0.1.4','255.255.255.0','eth0','ctrl','igb'),
 ('r1',0,1,'020000000005','127.0.1.5','255.255.255.0','eth0','ctrl','igb'),('m1',0,1,'','127.0.1.6','255.255.255.0','eth0','ctrl','igb'),
 ('boss',0,1,'0200000000ff','127.0.0.1','255.255.255.0','eth0','ctrl','igb'),('ld',0,1,'020000000007','127.0.1.7','255.255.255.0','eth0','ctrl','igb'),
 ('pc9',0,1,'020000000009','127.0.1.9','255.255.255.0','eth0','ctrl','igb'),('pc9',1,1,'0200000000a9','10.2.0.1','255.255.0.0','eth1','expt','igb');
INSERT INTO experiments (pid,eid,idx,expt_head_uid,expt_swap_uid,nfsmounts,elab_in_elab,elabinelab_singlenet,eid_uuid) VALUES
 ('p','e',7,'alice','alice','none',1,1,'u-7'),('emulab-ops','reloading',8,'elabman','elabman','none',0,0,'u-8');
INSERT INTO reserved (node_id,pid,eid,vname,erole) VALUES ('pc9','p','e','nine','node');
INSERT INTO virt_programs (pid,eid,vnode,vname,command) VALUES ('p','e','nine','prog','true');
INSERT INTO virt_user_environment (pid,eid,idx,name,value) VALUES ('p','e',1,'A','b');
INSERT INTO experiment_blobs (idx,pid,eid,path,action) VALUES (1,'p','e','p/tool.tgz','unpack,/opt');
INSERT INTO virt_node_attributes (pid,eid,vname,attrkey,attrvalue) VALUES ('p','e','nine','XEN_MEMSIZE','1');
INSERT INTO virt_node_disks (pid,eid,vname,diskname,disktype,disksize) VALUES ('p','e','nine','d0','voldisk','1');
INSERT INTO virt_tiptunnels (pid,eid,host,vnode) VALUES ('p','e','nine','mote');
INSERT INTO delays (node_id,pipe0,pipe1,iface0,iface1,vname,vnode0,vnode1) VALUES ('pc9',1,2,'eth0','eth1','lan0','a','b');
INSERT INTO linkdelays (node_id,iface,type,vlan,vnode,pipe) VALUES ('pc9','eth1','duplex','lan0','nine',1);
INSERT INTO partitions (node_id,`partition`,osid,osid_vers,imageid,imageid_version) VALUES ('pc9',1,1,0,41,0);
INSERT INTO subboss_attributes (subboss_id,service,attrkey,attrvalue) VALUES ('sb','frisbee','interface','127.0.1.4');
INSERT INTO reserved (node_id,pid,eid,vname,erole,inner_elab_role,inner_elab_boot,plab_boot) VALUES
 ('n1','p','e','a','node','boss',1,0),('n2','p','e','b','node',NULL,0,1),('fw1','p','e','fw','node',NULL,0,0),('sb','p','e','sub','subboss',NULL,0,0),
 ('r1','p','e','far','node',NULL,0,0),('v1','p','e','v','node',NULL,0,0),('m1','p','e','mote','node',NULL,0,0),('ld','emulab-ops','reloading',NULL,'node',NULL,0,0);
INSERT INTO virt_lans (pid,eid,vname,vnode,vport,vindex,ip,mask,protocol) VALUES
 ('p','e','lan0','a',0,0,'10.1.0.1','255.255.0.0','ethernet'),('p','e','lan0','b',0,1,'10.1.0.2','255.255.0.0','ethernet'),
 ('p','e','lan0','store',0,2,'10.1.0.9','255.255.0.0','ethernet');
INSERT INTO virt_firewalls (pid,eid,exptidx,fwname,type,style,log) VALUES ('p','e',7,'fw','iptables','basic','reject,accept');
INSERT INTO firewalls (pid,eid,exptidx,fwname,vlan,vlanid) VALUES ('p','e',7,'fw',300,9);
INSERT INTO firewall_rules (pid,eid,exptidx,fwname,ruleno,rule) VALUES ('p','e',7,'fw',100,'iptables -A x'),('p','e',7,'fw',200,'iptables -A "y"');
INSERT INTO default_firewall_rules (type,style,enabled,ruleno,rule) VALUES
 ('iptables','basic',1,1,'iptables -P DROP'),('iptables','basic',0,2,'off'),('iptables','open',1,1,'other style'),('ipfw','basic',1,1,'other type');
INSERT INTO default_firewall_vars (name,value) VALUES ('EMULAB_NS','127.0.0.1'),('EMULAB_CNET','127.0.0.0/8');
INSERT INTO virt_blockstores (pid,eid,vname,type,size,fixed) VALUES ('p','e','local_1','',100,'a'),('p','e','san_1','',2048,'store'),('p','e','ro','',10,'store');
INSERT INTO virt_blockstore_attributes (pid,eid,vname,attrkey,attrvalue) VALUES
 ('p','e','local_1','class','local'),('p','e','local_1','placement','SYSVOL'),
 ('p','e','san_1','class','SAN'),('p','e','san_1','protocol','iSCSI'),('p','e','san_1','mountpoint','/data'),('p','e','san_1','persist','1'),
 ('p','e','ro','class','SAN'),('p','e','ro','readonly','1');
INSERT INTO client_services (idx,service,env,whence) VALUES (2,'rc.mounts','boot','every');
INSERT INTO virt_client_service_ctl (pid,eid,exptidx,vnode,service_idx,env,whence,alt_blob_id,enable,enable_hooks,fatal) VALUES
 ('p','e',7,'a',2,'boot','every','',0,1,1),('p','e',7,'b',2,'boot','every','blob1',1,1,0);
INSERT INTO virt_client_service_hooks (pid,eid,exptidx,vnode,service_idx,env,whence,hook_blob_id,hook_op,hook_point,argv,fatal) VALUES
 ('p','e',7,'',2,'boot','first','blob2','boot','pre','-v x',1);
INSERT INTO bridges (pid,eid,exptidx,node_id,bridx,iface,vname,vnode) VALUES ('p','e',7,'n2',1,'eth1','lan0','b');
INSERT INTO traces (node_id,idx,iface0,iface1,pid,eid,exptidx,linkvname,vnode,trace_type,trace_expr,trace_snaplen) VALUES
 ('n2',3,'eth1','','p','e',7,'lan0','a','packet','tcp port 80',128);
INSERT INTO lans (lanid,exptidx,pid,eid,vname,vidx,type) VALUES (50,7,'p','e','tun0',1,'gre'),(51,7,'p','e','lan0',2,'vlan');
INSERT INTO lan_members (lanid,memberid,node_id) VALUES (50,1,'n1'),(50,2,'n2'),(51,3,'n1');
INSERT INTO lan_member_attributes (lanid,memberid,attrkey,attrvalue) VALUES
 (50,1,'tunnel_ip','192.168.0.1'),(50,1,'tunnel_peerip','127.0.1.2'),(50,2,'tunnel_ip','192.168.0.2'),(51,3,'portid','n1:eth1');
INSERT INTO nseconfigs (pid,eid,exptidx,vname,nseconfig) VALUES ('p','e',7,'a','set ns [new Simulator]\n$ns run\n');
INSERT INTO motelogfiles (pid,logfileid,classfilepath,specfilepath) VALUES ('p','log1','/proj/p/c','/proj/p/s');
INSERT INTO virt_node_motelog (pid,eid,exptidx,vname,logfileid) VALUES ('p','e',7,'mote','log1');
INSERT INTO virt_address_allocation (pool_id,pid,eid,exptidx,address,mask,node_id) VALUES ('pool1','p','e',7,'198.51.100.7','255.255.255.0','n1');
INSERT INTO experiment_keys (pid,eid,exptidx,rsa_pubkey,ssh_pubkey) VALUES ('p','e',7,'RSA PUBLIC','ssh-rsa EXPT');
INSERT INTO blockstores (bsidx,bs_id,node_id,role,type,total_size) VALUES (1,'d0','n1','element','SATA',500),(2,'d1','n1','element','SAS',900),(3,'pool','n1','compound','x',1);
INSERT INTO blockstore_attributes (bsidx,attrkey,attrvalue) VALUES (1,'serialnum','WD-1'),(2,'sectorsize','4096');
INSERT INTO tiplines (tipname,node_id,server,portnum,keylen,keydata) VALUES ('m1','m1','tips.example.org',7001,4,'00ff');
INSERT INTO subbosses (node_id,service,subboss_id,disabled) VALUES ('n1','dhcp','sb',0),('n2','dhcp','sb',0);
INSERT INTO node_attributes (node_id,attrkey,attrvalue) VALUES ('n1','root_password','abcdef012345'),('pc9','sim_imsi','9989');
INSERT INTO os_info (osid,osname,pid,version) VALUES (1,'OS','emulab-ops',0);
INSERT INTO os_info_versions (osid,vers,op_mode,OS,version,osfeatures) VALUES (1,0,'NORMALv2','Linux','20.04','ping');
INSERT INTO images (imageid,imagename,pid,gid,global) VALUES (41,'I','emulab-ops','emulab-ops',1);
INSERT INTO image_versions (imageid,version,path,loadpart,loadlength,default_osid,default_vers,format,size,access_key,lba_low,lba_high,lba_size,relocatable) VALUES (41,0,'/i.ndz',1,1,1,0,'ndz',1048576,'k&y',63,1000,512,1);
INSERT INTO current_reloads (node_id,idx,image_id,imageid_version,mustwipe,prepare) VALUES ('r1',0,41,0,0,0),('ld',0,41,0,0,1),('ld',1,41,0,0,0);
