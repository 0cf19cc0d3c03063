# shellcheck shell=bash disable=SC2154,SC2016  # see ../prelude.sh
# The machine was started again: the same number, at the same moment after the boot, is another process.
start_job old 'sleep 600' ''
dir=$root/var/lib/ack-preload/jobs/old
read -r pid _ <"$dir/pid"
kill -KILL -- "-$pid"
read -r -a fields </proc/$$/stat
echo "$$ ${fields[21]}-00000000-0000-4000-8000-000000000000" >"$dir/pid"
run job.sh state old
start_job old 'echo anew' '' try2
ended old
run job.sh state old
run job.sh result old
