# shellcheck shell=bash disable=SC2154,SC2016  # see ../prelude.sh
# Killed without a chance to say how it ended.
start_job gone 'echo working >&2; sleep 600' ''
until [[ -s $root/var/lib/ack-preload/jobs/gone/stderr ]]; do sleep 0.05; done
read -r pid _ <"$root/var/lib/ack-preload/jobs/gone/pid"
kill -KILL -- "-$pid"
ended gone
run job.sh state gone
start_job gone 'echo back' '' try2
ended gone
run job.sh result gone
