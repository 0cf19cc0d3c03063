#!/usr/bin/env bash
# See to it that containerd runs at exactly one version, on the folder that is mounted for it.
#
#   install_runtime.sh VERSION          such as 1.6.36
#
# stdin   nothing
# stdout  one JSON object:  {"version": "1.6.36", "installed": true}   false: it was there
# stderr  progress, for people
# exit    0 running   2 bad usage   4 another version is there, or none of it to be had
#         5 a step failed
#
# A containerd that is present at another version is refused, never replaced: images unpacked by
# one version are not promised to work under another. Safe to run again.
set -euo pipefail
export LC_ALL=C # a range of letters is ASCII's

readonly root=${ACK_PRELOAD_ROOT:-}
PATH=$PATH:$root/usr/local/bin:$root/usr/local/sbin:$root/usr/sbin:$root/sbin

readonly CONFIG=$root/etc/containerd/config.toml
readonly STARTS_WITHIN_S=60
# Debian and Ubuntu call it containerd, Docker's repository and Alibaba Cloud Linux containerd.io.
readonly PACKAGES=(containerd.io containerd)

log() { printf '%s install_runtime: %s\n' "$(date -u +%FT%TZ)" "$*" >&2; }
die() {
    local code=$1
    shift
    log "$*"
    exit "$code"
}

# Print the version of the containerd that is installed: "containerd github.com/... 1.6.20~ds1 abc".
present_version() {
    local words
    read -r -a words < <(containerd --version 2>/dev/null </dev/null)
    [[ ${words[2]-} =~ ^v?([0-9]+\.[0-9]+\.[0-9]+) ]] && printf '%s\n' "${BASH_REMATCH[1]}"
}

install_by_apt() {
    local version=$1 package found
    export DEBIAN_FRONTEND=noninteractive
    apt-get -q update >&2 </dev/null || die 5 "apt-get update failed"
    for package in "${PACKAGES[@]}"; do
        # "containerd | 1.6.20~ds1-1+deb12u3 | http://..."; the upstream version ends at ~, - or +
        found=$(apt-cache madison "$package" 2>/dev/null |
            awk -v want="$version" '$3 == want || index($3, want "~") == 1 || index($3, want "-") == 1 ||
                index($3, want "+") == 1 { print $3; exit }')
        [[ -n $found ]] || continue
        apt-get -q install -y --no-install-recommends "$package=$found" >&2 </dev/null && return
        die 5 "apt-get could not install $package=$found"
    done
    die 4 "no package repository of this machine has containerd $version"
}

install_by_yum() {
    local version=$1 package
    for package in "${PACKAGES[@]}"; do
        yum install -y "$package-$version" >&2 </dev/null && return
    done
    die 4 "no package repository of this machine has containerd $version"
}

# Docker's package ships a configuration that switches off the part that nodes need.
enable_cri() {
    if [[ -f $CONFIG ]] && grep -Eq '^[[:space:]]*disabled_plugins[[:space:]]*=.*"cri"' "$CONFIG"; then
        log "switching on the cri plugin in $CONFIG"
        sed -i.before-ack-preload -E 's/^([[:space:]]*)disabled_plugins[[:space:]]*=.*/\1disabled_plugins = []/' "$CONFIG"
        systemctl stop containerd || true
    fi
}

start() {
    local waited
    systemctl daemon-reload || true
    systemctl enable --now containerd || die 5 "containerd does not start; see journalctl -u containerd"
    for ((waited = 0; waited <= STARTS_WITHIN_S; waited++)); do
        ctr version >/dev/null 2>&1 </dev/null && return
        sleep 1
    done
    die 5 "containerd does not answer within $STARTS_WITHIN_S s"
}

main() {
    [[ $# -eq 1 ]] || die 2 "usage: install_runtime.sh VERSION"
    [[ $1 =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]] || die 2 "version '$1' is not like 1.6.36"
    local version=$1 found installed=false
    if ! command -v containerd >/dev/null; then
        log "installing containerd $version"
        if command -v apt-get >/dev/null; then
            install_by_apt "$version"
        elif command -v yum >/dev/null; then
            install_by_yum "$version"
        else
            die 4 "containerd is not there, nor apt-get or yum to install it"
        fi
        installed=true
        hash -r
    fi
    found=$(present_version || true)
    [[ $found == "$version" ]] || die 4 "containerd is ${found:-of no readable version} and the node pool has $version; \
use a build image that has $version, or none"
    enable_cri
    start
    log "containerd $version runs"
    printf '{"version": "%s", "installed": %s}\n' "$version" "$installed"
}

main "$@"
