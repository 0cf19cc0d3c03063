#!/usr/bin/env bash
# Run a script that comes through Cloud Assistant, whose commands and outputs are small: in pieces.
#
#   assistant.sh put ID NUMBER                                 keep a piece of what is sent
#   assistant.sh run ID NUMBER SHA256 SCRIPT [ARGUMENT...]     the last piece: put together and run
#   assistant.sh get ID NUMBER                                 print a piece of the answer
#
#   ID      of one run, 32 hexadecimal digits
#   NUMBER  of the piece, from 0
#   SHA256  of what the pieces make together: gzip of the script's text, a NUL and its input
#   SCRIPT  its name, for messages
#
# stdin   put, run: base64
# stdout  run: "ack-preload BYTES SHA256", of the answer, and the first piece of that in base64;
#         get: a further piece. The answer is gzip of a line "EXIT BYTES", the script's stdout of so
#         many bytes, and its stderr.
# exit    0 done, however the script ended   2 bad usage   5 a step failed
#
# Files: /run/ack-preload/ID/{sent.NUMBER, sent, stdout, stderr, answer}, in memory and for root only;
# gone with the last piece of the answer.
set -euo pipefail
umask 077

readonly folder=${ACK_PRELOAD_ROOT:-}/run/ack-preload
readonly PIECE=12000 # bytes: 16000 of base64, and the cloud cuts an output at 24 KB
readonly STALE=180   # minutes
# shellcheck disable=SC2016  # for the other bash
readonly READ='IFS= read -r -d "" script && exec bash -c "$script" "$@"'

die() {
    printf 'assistant: %s\n' "$2" >&2
    exit "$1"
}

receive() {
    mkdir -p "$dir"
    find "$folder" -mindepth 1 -maxdepth 1 -mmin "+$STALE" -exec rm -rf {} +
    base64 -d >"$dir/sent.$1"
}

# Print one piece of the answer; with its last byte everything is forgotten.
answer() {
    local size first=$(($1 * PIECE))
    size=$(wc -c <"$dir/answer")
    # Not tail before head: who writes to a head that has enough dies of SIGPIPE.
    head -c "$((first + PIECE))" "$dir/answer" | tail -c "+$((first + 1))" | base64 -w 0
    ((first + PIECE < size)) || rm -rf "$dir"
}

run() {
    local last=$1 wanted=$2 code=0 n sum
    shift 2
    mkdir "$dir/began" 2>/dev/null || die 5 "this has run already"
    for ((n = 0; n <= last; n++)); do cat "$dir/sent.$n"; done >"$dir/packed"
    sum=$(sha256sum <"$dir/packed")
    [[ $sum == "$wanted  -" ]] || die 5 "what arrived is not what was sent"
    gzip -dc "$dir/packed" >"$dir/sent"
    bash -c "$READ" bash "$@" <"$dir/sent" >"$dir/stdout" 2>"$dir/stderr" || code=$?
    {
        printf '%d %d\n' "$code" "$(wc -c <"$dir/stdout")"
        cat "$dir/stdout" "$dir/stderr"
    } | gzip -c >"$dir/answer"
    sum=$(sha256sum <"$dir/answer")
    printf 'ack-preload %d %s\n' "$(wc -c <"$dir/answer")" "${sum%% *}"
    answer 0
}

main() {
    local usage="usage: assistant.sh put ID NUMBER | run ID NUMBER SHA256 SCRIPT [ARGUMENT...] | get ID NUMBER"
    [[ $# -ge 3 && $2 =~ ^[0-9a-f]{32}$ && $3 =~ ^(0|[1-9][0-9]{0,2})$ ]] || die 2 "$usage"
    dir=$folder/$2
    case $1:$# in
        put:3) receive "$3" ;;
        get:3) answer "$3" ;;
        run:[0-4]) die 2 "$usage" ;;
        run:*)
            [[ $4 =~ ^[0-9a-f]{64}$ ]] || die 2 "$usage"
            receive "$3"
            shift 2
            run "$@"
            ;;
        *) die 2 "$usage" ;;
    esac
}

main "$@"
