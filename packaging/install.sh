#!/bin/sh
# Installs the agent from this tarball on a system without one of our packages.
#   ./install.sh [--root DIR] [--prefix DIR]    install, enable, start; an upgrade takes over at once, and shells go on
#   ./install.sh --remove [--purge]             take it away; --purge forgets also who this device is
# Needs: sh, cp, mkdir, chmod, mv, rm. Finds systemd, OpenRC or procd; with none of them it says how to start the agent.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root='' prefix=/usr remove='' purge=''
while [ $# -gt 0 ]; do
	case "$1" in
	--root | --prefix)
		[ $# -ge 2 ] || { echo "install.sh: $1 needs a directory" >&2; exit 2; }
		if [ "$1" = --root ]; then root=$2; else prefix=$2; fi
		shift
		;;
	--remove) remove=yes ;;
	--purge) purge=yes ;;
	*) echo "usage: install.sh [--root DIR] [--prefix DIR] | --remove [--purge]" >&2; exit 2 ;;
	esac
	shift
done
bin=$prefix/bin/towline-agent

init=none
if [ -n "$root" ]; then
	# Another system's files: nothing of ours is to be started.
	[ -d "$root/usr/lib/systemd" ] || [ -d "$root/lib/systemd" ] && init=systemd
	[ -x "$root/sbin/openrc-run" ] && init=openrc
	[ -x "$root/sbin/procd" ] && init=procd
elif [ -d /run/systemd/system ]; then init=systemd
elif [ -x /sbin/openrc-run ]; then init=openrc
elif [ -x /sbin/procd ]; then init=procd
fi

# Whole or not at all, and a running program keeps its old file.
put() {
	mkdir -p "$root$(dirname "$2")"
	cp "$1" "$root$2.new"
	chmod "$3" "$root$2.new"
	mv -f "$root$2.new" "$root$2"
}
with_bin() { # The service's file, with the program where it was put.
	sed "s|/usr/bin/towline-agent|$bin|g" "$1" >"$here/.service"
	put "$here/.service" "$2" "$3"
	rm -f "$here/.service"
}
live() { [ -z "$root" ]; }

if [ -n "$remove" ]; then
	case $init in
	systemd)
		if live; then systemctl disable --now towline-agent.service || true; fi
		rm -f "$root/etc/systemd/system/towline-agent.service"
		;;
	openrc | procd)
		if live && [ -x /etc/init.d/towline-agent ]; then
			/etc/init.d/towline-agent stop || true
			if [ $init = openrc ]; then rc-update delete towline-agent || true; else /etc/init.d/towline-agent disable || true; fi
		fi
		rm -f "$root/etc/init.d/towline-agent"
		;;
	esac
	rm -f "$root$bin"
	if [ -n "$purge" ]; then rm -rf "$root/var/lib/towline" "$root/etc/towline"; fi
	exit 0
fi

put "$here/usr/bin/towline-agent" "$bin" 755
if [ ! -e "$root/etc/towline/agent.toml" ]; then put "$here/etc/towline/agent.toml" /etc/towline/agent.toml 644; fi
case $init in
systemd)
	with_bin "$here/usr/lib/systemd/system/towline-agent.service" /etc/systemd/system/towline-agent.service 644
	if live; then
		systemctl daemon-reload
		if systemctl --quiet is-active towline-agent.service; then
			systemctl reload towline-agent.service
		else
			systemctl enable --now towline-agent.service
		fi
	else
		mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
		ln -sf /etc/systemd/system/towline-agent.service "$root/etc/systemd/system/multi-user.target.wants/"
	fi
	;;
openrc)
	with_bin "$here/usr/share/towline/openrc/towline-agent" /etc/init.d/towline-agent 755
	if live; then
		rc-update add towline-agent default
		if rc-service towline-agent status >/dev/null 2>&1; then rc-service towline-agent reload; else rc-service towline-agent start; fi
	fi
	;;
procd)
	with_bin "$here/usr/share/towline/procd/towline-agent" /etc/init.d/towline-agent 755
	mkdir -p "$root/lib/upgrade/keep.d"
	echo /etc/towline/ >"$root/lib/upgrade/keep.d/towline-agent"
	if live; then
		/etc/init.d/towline-agent enable
		if /etc/init.d/towline-agent running; then /etc/init.d/towline-agent reload; else /etc/init.d/towline-agent start; fi
	fi
	;;
none) echo "installed; no init system was found: have '$bin run' started at boot and again whenever it ends" ;;
esac
echo "next: $bin enroll --gateway HOST --activation-id ID   (or put /etc/towline/enroll.toml)"
