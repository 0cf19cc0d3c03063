# shellcheck shell=bash disable=SC2154,SC2016  # see ../prelude.sh
# The connection broke before all was sent, in the script or in its input: nothing is started.
hash=$(printf 'cat\0one line\nand another' | sha256sum)
for arrived in 'ca' 'cat\0one li' 'cat\0one line\n'; do
    run job.sh start cut try1 "${hash%% *}" probe.sh < <(printf '%b' "$arrived")
    run job.sh state cut
done
ls -A "$root/var/lib/ack-preload/jobs"
hash=$(printf 'no end' | sha256sum)
run job.sh start cut try1 "${hash%% *}" probe.sh < <(printf 'no end')
