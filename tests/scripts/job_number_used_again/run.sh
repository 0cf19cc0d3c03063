# shellcheck shell=bash disable=SC2154,SC2016  # see ../prelude.sh
# The process number of a job that is gone belongs to another process now.
start_job old 'sleep 600' ''
dir=$root/var/lib/ack-preload/jobs/old
read -r pid started <"$dir/pid"
kill -KILL -- "-$pid"
echo "$$ $started" >"$dir/pid"
run job.sh state old
