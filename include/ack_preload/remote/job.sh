#!/usr/bin/env bash
# Run a script detached from the connection that starts it, exactly once, with its state in files.
#
#   job.sh start NAME OWNER SCRIPT [ARGUMENT...]    the script's text, a NUL, then its input on stdin
#   job.sh state NAME
#   job.sh result NAME                              print what the script wrote to its stdout
#   job.sh stop NAME OWNER                          only when the job still belongs to OWNER
#   job.sh clean NAME                               forget a job that has ended
#
#   NAME    one job of this machine; starting it again while it runs, or after it succeeded, changes
#           nothing but its owner. One that failed or was lost is started anew.
#   OWNER   who may stop it: the try of a task. The last one that started or found the job owns it.
#   SCRIPT  its name, for messages
#
# stdout  start, stop, clean: one word. state: a JSON line, and after that the last lines of the
#         stderr of a job that failed:
#         {"state": "running", "exit": null, "owner": "...", "progress": {...}}
#         with states absent, running, succeeded, failed, lost (ended without an exit code)
# stderr  messages, for people
# exit    0 done   2 bad usage   5 a step failed
#
# Files: /var/lib/ack-preload/jobs/NAME/{script, input, owner, pid, progress, stdout, stderr, exit}
set -euo pipefail

readonly root=${ACK_PRELOAD_ROOT:-}
readonly jobs=$root/var/lib/ack-preload/jobs
readonly LOCK_TRIES=300 # of 0.1 s: starting takes well under a second, so the holder has died
readonly STOPS_WITHIN=100 # of 0.1 s, then it is killed
readonly LAST_LINES=20

die() {
    local code=$1
    shift
    printf '%s job: %s\n' "$(date -u +%FT%TZ)" "$*" >&2
    exit "$code"
}

# When a process started, so that its number used again is not taken for it. Empty without /proc.
started_at() {
    local stat fields
    read -r stat 2>/dev/null <"/proc/$1/stat" || return 0
    read -r -a fields <<<"${stat##*) }"
    printf '%s' "${fields[19]}"
}

# The process that a job is: runs the script and records how it ended.
runner() {
    local dir=$1 script=$2 code=0
    shift 2
    trap '' HUP
    mkdir "$dir/began" 2>/dev/null || exit 0 # another start was faster
    printf '%s %s\n' "$$" "$(started_at "$$")" >"$dir/pid.new"
    mv "$dir/pid.new" "$dir/pid"
    cd "$dir" || exit 1
    ACK_PRELOAD_PROGRESS=$dir/progress bash "$dir/$script" "$@" <"$dir/input" >"$dir/stdout" 2>"$dir/stderr" || code=$?
    printf '%s\n' "$code" >"$dir/exit.new"
    mv "$dir/exit.new" "$dir/exit"
}

is_alive() {
    local pid started
    read -r pid started 2>/dev/null <"$dir/pid" || return 1
    kill -0 "$pid" 2>/dev/null && [[ $(started_at "$pid") == "$started" ]]
}

state_word() {
    if [[ ! -d $dir ]]; then
        echo absent
    elif [[ -e $dir/exit ]]; then
        [[ $(<"$dir/exit") == 0 ]] && echo succeeded || echo failed
    elif is_alive; then
        echo running
    elif [[ -e $dir/exit ]]; then # it ended between the two looks
        [[ $(<"$dir/exit") == 0 ]] && echo succeeded || echo failed
    else
        echo lost
    fi
}

lock() {
    local try
    mkdir -p "$jobs"
    for ((try = 0; try < LOCK_TRIES; try++)); do
        if mkdir "$dir.lock" 2>/dev/null; then
            trap 'rmdir "$dir.lock"' EXIT
            return
        fi
        sleep 0.1
    done
    rmdir "$dir.lock" 2>/dev/null || true
    die 5 "job $name was locked by a start that died; try again"
}

own() {
    printf '%s\n' "$1" >"$dir/owner.new"
    mv "$dir/owner.new" "$dir/owner"
}

start() {
    local owner=$1 script=$2 text try
    shift 2
    [[ $script =~ ^[a-z_]+\.sh$ ]] || die 2 "script name '$script' is not like pull_images.sh"
    IFS= read -r -d '' text || die 2 "stdin ended before the script did"
    lock
    case $(state_word) in
        running | succeeded)
            own "$owner"
            echo found
            return
            ;;
        failed | lost) rm -rf "$dir" ;;
    esac
    rm -rf "$dir.new"
    (umask 077 && mkdir "$dir.new")
    printf '%s' "$text" >"$dir.new/$script"
    cat >"$dir.new/input"
    printf '%s\n' "$owner" >"$dir.new/owner"
    mv "$dir.new" "$dir"
    set -m # a process group of its own, for stop
    bash -c "$(declare -f started_at runner); runner \"\$@\"" "job-$name" "$dir" "$script" "$@" \
        </dev/null >/dev/null 2>&1 &
    set +m
    for ((try = 0; try < LOCK_TRIES; try++)); do
        [[ -e $dir/pid ]] && break
        sleep 0.1
    done
    [[ -e $dir/pid ]] || die 5 "job $name did not begin"
    echo started
}

state() {
    local word code=null owner="" progress=null
    word=$(state_word)
    [[ ! -e $dir/exit ]] || code=$(<"$dir/exit")
    [[ ! -e $dir/owner ]] || owner=$(<"$dir/owner")
    [[ ! -s $dir/progress ]] || progress=$(<"$dir/progress")
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
    printf 'stopped by its owner\n' >>"$dir/stderr"
    [[ -e $dir/exit ]] || echo 143 >"$dir/exit" # as a shell reports SIGTERM
    echo stopped
}

clean() {
    lock
    [[ $(state_word) != running ]] || die 5 "job $name still runs"
    rm -rf "$dir"
    echo cleaned
}

usage="usage: job.sh start NAME OWNER SCRIPT [ARGUMENT...] | state NAME | result NAME | stop NAME OWNER | clean NAME"

main() {
    [[ $# -ge 2 && $2 =~ ^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$ ]] || die 2 "$usage"
    local command=$1
    name=$2 dir=$jobs/$2
    shift 2
    case $command in
        start | stop) [[ ${1-} =~ ^[A-Za-z0-9._-]{1,128}$ ]] || die 2 "$usage" ;;
    esac
    case $command:$# in
        start:0 | start:1) die 2 "$usage" ;;
        start:*) start "$@" ;;
        state:0) state ;;
        result:0) [[ ! -e $dir/stdout ]] || cat "$dir/stdout" ;;
        stop:1) stop "$1" ;;
        clean:0) clean ;;
        *) die 2 "$usage" ;;
    esac
}

main "$@"
