#!/usr/bin/env bash
# Run a tool that changes files as if the machine's folder were its root directory.
#
#   wrap.sh TOOL [ARGUMENT...]     TOOL is the absolute path of the host's own
#
# An absolute path among the arguments is moved under $ACK_PRELOAD_ROOT, unless it is there
# already, on a disk of the machine, or one of the few devices that every program uses. So
# `touch /var/.skip-yum` touches the machine's file, as it would on a real one.
#
# stdin, stdout, stderr and exit code are the tool's.
set -euo pipefail

root=${ACK_PRELOAD_ROOT:?is set by the paper machine}
inside=${root%/*/*/root} # the folder that holds all machines and disks

moved() {
    case $1 in
        "$inside"/machines/* | "$inside"/disks/* | "$inside"/machines | "$inside"/disks) printf '%s' "$1" ;;
        /dev/null | /dev/zero | /dev/stdin | /dev/stdout | /dev/stderr | /dev/fd/*) printf '%s' "$1" ;;
        /*) printf '%s%s' "$root" "$1" ;;
        --*=/*) printf '%s=%s' "${1%%=*}" "$(moved "${1#*=}")" ;;
        *) printf '%s' "$1" ;;
    esac
}

tool=$1
shift
arguments=()
for argument; do
    arguments+=("$(moved "$argument")")
done
if [[ ${tool##*/} == tar && -e $root/../room.json ]]; then
    paper-room tar "$@" || exit
fi
exec "$tool" ${arguments[0]+"${arguments[@]}"}
