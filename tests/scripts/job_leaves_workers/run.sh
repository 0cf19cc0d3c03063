# shellcheck shell=bash disable=SC2154,SC2016  # see ../prelude.sh
# Only the job's own process is killed, as by a lack of memory; its workers go on. Another start
# ends them first, so that the work is never done twice at a time.
jobs=$root/var/lib/ack-preload/jobs
working='while [[ ! -e ../over ]]; do if [[ -e ../second ]]; then echo beside >../beside; fi; sleep 0.02; done'
start_job two "($working) & ($working); wait" ''
until [[ $(grep -lszxF "ACK_PRELOAD_PROGRESS=$jobs/two/progress" /proc/[0-9]*/environ | wc -l) -ge 3 ]]; do sleep 0.05; done
read -r pid _ <"$jobs/two/pid"
kill -KILL "$pid"
ended two
run job.sh state two
start_job two 'touch ../second; sleep 0.2' '' try2
ended two
run job.sh state two
ls "$jobs/beside" 2>/dev/null
touch "$jobs/over"
