#!/usr/bin/env bash
# Say which images the container runtime of this node has.
#
#   list_images.sh
#
# stdin   nothing
# stdout  three parts, each after a line "== NAME": platform (as uname says it), the table of
#         `crictl images --no-trunc`, and the JSON of `crictl images -o json`
# stderr  messages, for people
# exit    0 listed   2 bad usage   4 crictl is not installed   5 the runtime does not answer
#
# Changes nothing; safe to run again.
set -euo pipefail
export LC_ALL=C # a range of letters is ASCII's

readonly root=${ACK_PRELOAD_ROOT:-}
PATH=$PATH:$root/usr/local/bin:$root/usr/local/sbin:$root/usr/sbin:$root/sbin

die() {
    local code=$1
    shift
    printf '%s list_images: %s\n' "$(date -u +%FT%TZ)" "$*" >&2
    exit "$code"
}

main() {
    [[ $# -eq 0 ]] || die 2 "usage: list_images.sh"
    command -v crictl >/dev/null || die 4 "crictl is not installed on this node"
    local table json
    table=$(crictl images --no-trunc </dev/null) || die 5 "crictl images --no-trunc failed"
    json=$(crictl images -o json </dev/null) || die 5 "crictl images -o json failed"
    printf '== platform\n%s %s\n== table\n%s\n== json\n%s\n' \
        "$(uname -s)" "$(uname -m)" "$table" "$json"
}

main "$@"
