# shellcheck shell=bash disable=SC2154,SC2016  # see ../prelude.sh
# As with a full disk: a job that cannot say how it ended is lost, and done anew when there is room.
start_job full 'mkdir exit.new; echo done' ''
ended full
run job.sh state full
mkdir "$root/var/lib/ack-preload/jobs/full/owner.new"
start_job full 'echo back' '' try2
ended full
run job.sh state full
# Half a line, as an older version could leave it, is no end either.
: >"$root/var/lib/ack-preload/jobs/full/exit"
printf '{"done": 1,' >"$root/var/lib/ack-preload/jobs/full/progress"
run job.sh state full
