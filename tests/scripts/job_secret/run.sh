# shellcheck shell=bash disable=SC2154,SC2016,SC2034  # see ../prelude.sh
# A secret reaches the script through a pipe, and no file or process of the machine has it.
jobs=$root/var/lib/ack-preload/jobs
start_secret() {
    local AHEAD="$2\0" # not of the environment, where the script would find it
    sent_job start_secret "$1" try1 "$3" input
}
start_secret ok 'p4ss w"rd' 'cat <&3; printf " and "; cat; ! grep -q "p[4]ss" /proc/self/environ /proc/$$/cmdline'
ended ok
run job.sh result ok
grep -rl 'p4ss' "$jobs" | grep -v stdout || echo "in no file"
# Read by nobody, it holds up nothing, and a stop ends it.
start_secret unread 's3cret' 'sleep 60'
run job.sh stop unread try1
grep -rl 's3cret' "$jobs" || echo "in no file"
# Started again, the script is handed the secret of that start.
start_secret again 'first' 'grep -q second <&3'
ended again
start_secret again 'second' 'grep -q second <&3'
ended again
run job.sh state again
# Without a secret there is none to read.
start_job none 'wc -c <&3 | tr -d " "' ''
ended none
run job.sh result none
hash=$(printf 'cat\0' | sha256sum)
run job.sh start_secret cut try1 "${hash%% *}" probe.sh < <(printf 'no end')
run job.sh start_secret long try1 "${hash%% *}" probe.sh < <(head -c 40000 /dev/zero | tr '\0' x; printf '\0cat\0')
