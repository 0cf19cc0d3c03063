#!/usr/bin/env bash
# Print the public host key that this machine identifies itself by over SSH.
#
#   host_key.sh
#
# stdin   nothing
# stdout  one line: ssh-ed25519 AAAA... [comment]
# stderr  messages, for people
# exit    0 done   2 bad usage   5 there is no key yet
#
# A new machine may still have the keys of the image it was made from: cloud-init replaces them on
# the first boot, and says so when it has.
set -euo pipefail

readonly root=${ACK_PRELOAD_ROOT:-}
readonly key=$root/etc/ssh/ssh_host_ed25519_key.pub
readonly boot=$root/var/lib/cloud/instance
readonly WITHIN=20 # of 1 s; then the next try looks again

die() {
    printf '%s host_key: %s\n' "$(date -u +%FT%TZ)" "$2" >&2
    exit "$1"
}

is_settled() {
    [[ -s $key ]] || return 1
    [[ ! -d $boot || -e $boot/boot-finished || -e $boot/sem/config_ssh ]]
}

[[ $# -eq 0 ]] || die 2 "usage: host_key.sh"
for ((waited = 0; waited < WITHIN; waited++)); do
    is_settled && exec cat "$key"
    sleep 1
done
[[ ! -s $key ]] || die 5 "cloud-init has not made the host keys of this machine yet; try again"
die 5 "${key#"$root"} is not there; an image without an ed25519 host key needs its SSH set up"
