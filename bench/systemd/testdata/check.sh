#!/bin/sh
# Runs in the container. What is wrong is a line of /check/wrong; /check/done is
# made at the end. What has to come is waited for without a limit: the test has
# one for all.
exec >/check/log 2>&1
set -x
wrong() { echo "$*" >>/check/wrong; }
is() { [ "$2" = "$3" ] || wrong "$1 is $2, not $3"; }
property() { systemctl show hyzerd -p "$1" --value; }
status() { sed -n "s/^$1:[[:space:]]*//p" "/proc/$pid/status"; }
open_files() { sed -n 's/^Max open files *[0-9]* *\([0-9]*\).*/\1/p' "/proc/$1/limits"; }

# Ready means that operators are answered.
systemctl start hyzerd || wrong "it does not start"
hyzer status || wrong "it is said to be ready, and is not"
hyzer import /check/site.yaml || wrong "nothing can be imported"
nodes=$(hyzer node list --json)
[ -n "$nodes" ] || wrong "there are no nodes"

# It has what it needs, and no more.
pid=$(property MainPID)
is user "$(stat -c %U "/proc/$pid")" hyzer
is capabilities "$(status CapEff)" 0000000000002400
is "bounding set" "$(status CapBnd)" 0000000000002400
is "no new privileges" "$(status NoNewPrivs)" 1
is "filter of system calls" "$(status Seccomp)" 2
files=65536 most=$(open_files 1)
[ "$most" -ge "$files" ] || files=$most # the container has no more to give
is "open files" "$(open_files "$pid")" "$files"
is "socket's mode" "$(stat -c '%a %U %G' /run/hyzer/control.sock)" "660 hyzer hyzer"
is "store's mode" "$(stat -c '%a %U' /var/lib/hyzer/db)" "700 hyzer"

# However often it is killed, it comes back by itself, and knows what it knew.
for kills in 1 2 3 4 5 6 7; do
	kill -9 "$pid"
	until [ "$(property NRestarts) $(property ActiveState)" = "$kills active" ]; do
		[ "$(property ActiveState)" = failed ] && wrong "systemd gives up after $kills kills" && break 2
		sleep 0.1
	done
	pid=$(property MainPID)
	[ "$(hyzer node list --json)" = "$nodes" ] || wrong "after $kills kills it has other nodes"
done

systemctl stop hyzerd
is "result of a stop" "$(property Result)" success
[ -e /run/hyzer ] && wrong "its runtime folder is left"
journalctl -u hyzerd --no-pager
: >/check/done
