INSERT INTO `sitevariables` (`name`,`value`,`defaultvalue`,`description`,`ns_include`) VALUES ('general/testvar',NULL,'43','A test','0');
INSERT INTO `projects` (`pid`,`pid_idx`,`name`,`unix_gid`) VALUES ('tbres',1,'Research',6001);
INSERT INTO `os_info` (`osname`,`pid`,`pid_idx`,`osid`,`uuid`,`version`) VALUES ('UBUNTU','tbres',1,100,'',0);
INSERT INTO `os_info_versions` (`osname`,`vers`,`pid`,`pid_idx`,`osid`,`OS`,`osfeatures`,`op_mode`,`mfs`) VALUES ('UBUNTU',0,'tbres',1,100,'Linux','ping,ssh,isup','NORMALv2',0);
INSERT INTO `node_types` (`class`,`type`,`isvirtnode`,`imageable`) VALUES ('pc','pc850',0,1);
INSERT INTO `nodes` (`node_id`,`type`,`phys_nodeid`,`role`) VALUES ('pc41','pc850','pc41','testnode');
INSERT INTO `nodes` (`node_id`,`type`,`phys_nodeid`,`role`) VALUES ('bad name','pc850','bad name','testnode');
INSERT INTO `interfaces` (`node_id`,`iface`,`mac`,`IP`,`role`) VALUES ('pc41','eth0','020000004100','10.0.0.41','ctrl');
INSERT INTO `wires` (`a`,`b`,`c`) VALUES (1,2,3);
