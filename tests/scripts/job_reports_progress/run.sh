# shellcheck shell=bash disable=SC2154,SC2016  # see ../prelude.sh
start_job busy 'echo "{\"done\": 3, \"of\": 14, \"bytes\": 123}" >"$ACK_PRELOAD_PROGRESS"; while [[ ! -e ../go ]]; do sleep 0.05; done' ''
until [[ -s $root/var/lib/ack-preload/jobs/busy/progress ]]; do sleep 0.05; done
run job.sh state busy
touch "$root/var/lib/ack-preload/jobs/go"
ended busy
run job.sh state busy
