#!/usr/bin/env bash
# Run a script detached from the connection that starts it, exactly once, with its state in files.
#
#   job.sh start NAME OWNER SHA256 SCRIPT [ARGUMENT...]    script's text, NUL, its input on stdin
#   job.sh start_secret NAME OWNER SHA256 SCRIPT [...]     a secret and a NUL ahead of that
#   job.sh state NAME
#   job.sh result NAME                              print what the script wrote to its stdout
#   job.sh stop NAME OWNER                          only when the job still belongs to OWNER
#   job.sh clean NAME                               forget a job that has ended
#
#   NAME    one job of this machine; starting it again while it runs, or after it succeeded, changes
#           nothing but its owner. One that failed or was lost is started anew.
#   OWNER   who may stop it: the try of a task. The last one that started or found the job owns it.
#   SHA256  of text, NUL and input: half of it, from a connection that broke, is never run
#   SCRIPT  its name, for messages
#
# A secret is what no file, command line or environment of this machine may hold: the script reads
# it once, from descriptor 3, a pipe. It is gone when the script ends, however it ends, and with a
# reboot; a script that is started again is handed it anew. Without one, 3 is empty.
#
# stdout  start, stop, clean: one word. state: a JSON line, and after that the last lines of the
#         stderr of a job that failed:
#         {"state": "running", "exit": null, "owner": "...", "progress": {...}}
#         with states absent, running, succeeded, failed, lost (ended without an exit code)
# stderr  messages, for people
# exit    0 done   2 bad usage   4 a tool is missing   5 a step failed
#
# Files: /var/lib/ack-preload/jobs/NAME/{script, input, owner, pid, progress, stdout, stderr, exit},
# and /var/lib/ack-preload/locks/NAME. A file appears whole or not at all: a disk that is full makes
# a job lost, never successful.
set -euo pipefail
export LC_ALL=C # a range of letters is ASCII's

readonly root=${ACK_PRELOAD_ROOT:-}
readonly jobs=$root/var/lib/ack-preload/jobs
readonly locks=$root/var/lib/ack-preload/locks
readonly LOCKS_WITHIN_S=30 # a start holds it for well under a second, a stop for 10 s
readonly LOOKS_WITHIN_S=5  # a look goes on without the lock rather than fail
readonly STARTS_WITHIN=300 # of 0.1 s
readonly STOPS_WITHIN=100 # of 0.1 s, then it is killed
readonly LAST_LINES=20
readonly MAX_SECRET=32768 # what a pipe holds without a reader, halved

die() {
    local code=$1
    shift
    printf '%s job: %s\n' "$(date -u +%FT%TZ)" "$*" >&2
    exit "$code"
}

# What tells a process from a later one of its number: when it started, and the boot of the machine,
# which may give the same number at the same moment again. Empty without /proc.
mark_of() {
    local stat fields boot=""
    read -r stat 2>/dev/null <"/proc/$1/stat" || return 0
    read -r -a fields <<<"${stat##*) }"
    read -r boot 2>/dev/null </proc/sys/kernel/random/boot_id || true
    printf '%s-%s' "${fields[19]}" "$boot"
}

# Write a file of the job's folder in one step.
put() {
    printf '%s\n' "$2" >"$dir/$1.new" && mv "$dir/$1.new" "$dir/$1"
}

# The process that a job is: runs the script and records how it ended. It holds the lock of the
# start until it can be found, so that no other start, even of a starter that died, comes between.
runner() {
    local script=$2 code=0
    dir=$1
    shift 2
    trap '' HUP
    put pid "$$ $(mark_of "$$")" || exit 1
    exec 9>&-
    cd "$dir" || exit 1
    ACK_PRELOAD_PROGRESS=$dir/progress bash "$dir/$script" "$@" <"$dir/input" >"$dir/stdout" 2>"$dir/stderr" || code=$?
    put exit "$code"
}

is_alive() {
    local pid mark
    read -r pid mark 2>/dev/null <"$dir/pid" || return 1
    kill -0 "$pid" 2>/dev/null && [[ $(mark_of "$pid") == "$mark" ]]
}

# Print how it ended; nothing and false while that is not known.
ending() {
    local code=""
    read -r code 2>/dev/null <"$dir/exit" || return 1
    [[ $code =~ ^[0-9]+$ ]] || return 1
    [[ $code == 0 ]] && echo succeeded || echo failed
}

state_word() {
    if [[ ! -d $dir ]]; then
        echo absent
    elif ! ending; then
        if is_alive; then
            echo running
        else
            ending || echo lost # it may have ended between the two looks
        fi
    fi
}

# The kernel gives the lock back when its holder dies, however it dies.
lock() {
    command -v flock >/dev/null || die 4 "flock is not there; install util-linux"
    mkdir -p "$jobs" "$locks"
    exec 9>>"$locks/$name"
    flock -w "$LOCKS_WITHIN_S" 9 || die 5 "job $name is locked by another start or stop; try again"
}

# Print every process that works for the job, whoever its parent is now.
workers() {
    local found
    found=$(grep -lszxF "ACK_PRELOAD_PROGRESS=$dir/progress" /proc/[0-9]*/environ || true)
    found=${found//\/proc\//}
    printf '%s' "${found//\/environ/}"
}

# End what is left of a job whose own process is gone: it must not work beside the next one.
end_workers() {
    local try left
    for ((try = 0; try < STOPS_WITHIN; try++)); do
        left=$(workers)
        [[ -n $left ]] || return 0
        # shellcheck disable=SC2086  # a process number each
        kill -KILL $left 2>/dev/null || true
        sleep 0.1
    done
    die 5 "processes of job $name do not end: ${left//$'\n'/ }"
}

# Take stdin into a new folder, as script and input; the secret only into memory.
receive() {
    local wanted=$1 script=$2 text
    if ((has_secret)); then
        IFS= read -r -d '' secret || die 2 "stdin ended before the secret did"
        ((${#secret} <= MAX_SECRET)) || die 2 "the secret is over $MAX_SECRET bytes"
    fi
    cat >"$sent/all"
    [[ $(sha256sum <"$sent/all") == "$wanted  -" ]] ||
        die 5 "what arrived is not what was sent; try again"
    IFS= read -r -d '' text <"$sent/all" || die 2 "stdin has no NUL after the script"
    printf '%s' "$text" >"$sent/$script"
    tail -c "+$((${#text} + 2))" "$sent/all" >"$sent/input"
    rm "$sent/all"
}

start() {
    local owner=$1 wanted=$2 script=$3 try
    shift 3
    [[ $script =~ ^[a-z_]+\.sh$ ]] || die 2 "script name '$script' is not like pull_images.sh"
    mkdir -p "$jobs"
    sent=$(mktemp -d "$jobs/.sent.XXXXXX") # before the lock: a sender may be slow, or never end
    trap 'rm -rf "$sent"' EXIT
    receive "$wanted" "$script"
    lock
    case $(state_word) in
        running | succeeded)
            put owner "$owner"
            echo found
            return
            ;;
        failed | lost)
            end_workers
            rm -rf "$dir"
            ;;
    esac
    printf '%s\n' "$owner" >"$sent/owner"
    mv "$sent" "$dir"
    set -m # a process group of its own, for stop
    bash -c "$(declare -f mark_of put runner); runner \"\$@\"" "job-$name" "$dir" "$script" "$@" \
        </dev/null >/dev/null 2>&1 3< <(printf '%s' "$secret" 2>/dev/null) &
    set +m
    for ((try = 0; try < STARTS_WITHIN; try++)); do
        if [[ -e $dir/pid ]] || ! kill -0 "$!" 2>/dev/null; then break; fi
        sleep 0.1
    done
    [[ -e $dir/pid ]] || die 5 "job $name did not begin; is the disk full?"
    echo started
}

state() {
    local word code=null owner="" progress=null
    if [[ -r $locks/$name ]]; then # while one starts, what is there is neither the old nor the new
        exec 9<"$locks/$name"
        flock -s -w "$LOOKS_WITHIN_S" 9 || true
    fi
    word=$(state_word)
    case $word in
        succeeded | failed) code=$(<"$dir/exit") ;;
    esac
    [[ ! -e $dir/owner ]] || owner=$(<"$dir/owner")
    [[ ! -s $dir/progress ]] || progress=$(<"$dir/progress")
    [[ $progress =~ ^\{[[:print:]]*\}$ ]] || progress=null
    printf '{"state": "%s", "exit": %s, "owner": "%s", "progress": %s}\n' "$word" "$code" "$owner" "$progress"
    if [[ $word == failed || $word == lost ]] && [[ -e $dir/stderr ]]; then
        tail -n "$LAST_LINES" "$dir/stderr"
    fi
}

stop() {
    local pid rest try
    lock
    if [[ $(state_word) != running || $(<"$dir/owner") != "$1" ]]; then
        echo kept
        return
    fi
    read -r pid rest <"$dir/pid"
    kill -TERM -- "-$pid" 2>/dev/null || true
    for ((try = 0; try < STOPS_WITHIN; try++)); do
        kill -0 -- "-$pid" 2>/dev/null || break
        sleep 0.1
    done
    kill -KILL -- "-$pid" 2>/dev/null || true
    end_workers
    printf 'stopped by its owner\n' >>"$dir/stderr"
    ending >/dev/null || put exit 143 # as a shell reports SIGTERM
    echo stopped
}

# Nothing is not a result: a task must not take it for one.
result() {
    local word
    word=$(state_word)
    [[ $word == succeeded ]] || die 5 "job $name is $word, so it has no result"
    cat "$dir/stdout"
}

clean() {
    lock
    [[ $(state_word) != running ]] || die 5 "job $name still runs"
    rm -rf "$dir"
    echo cleaned
}

usage="usage: job.sh start|start_secret NAME OWNER SHA256 SCRIPT [ARGUMENT...] | state NAME | result NAME | stop NAME OWNER | clean NAME"

main() {
    [[ $# -ge 2 && $2 =~ ^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$ ]] || die 2 "$usage"
    local command=$1 has_secret=0 secret=""
    name=$2 dir=$jobs/$2
    shift 2
    if [[ $command == start_secret ]]; then
        command=start has_secret=1
    fi
    case $command in
        start | stop) [[ ${1-} =~ ^[A-Za-z0-9._-]{1,128}$ ]] || die 2 "$usage" ;;
    esac
    [[ $command != start || ${2-} =~ ^[0-9a-f]{64}$ ]] || die 2 "$usage"
    case $command:$# in
        start:[0-2]) die 2 "$usage" ;;
        start:*) start "$@" ;;
        state:0) state ;;
        result:0) result ;;
        stop:1) stop "$1" ;;
        clean:0) clean ;;
        *) die 2 "$usage" ;;
    esac
}

main "$@"
