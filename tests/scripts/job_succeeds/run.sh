# shellcheck shell=bash disable=SC2154,SC2016  # see ../prelude.sh
# Arguments and input arrive as they were; starting again finds it done.
start_job ok 'printf "<%s>" "$0" "$@" | sed "s|.*/probe|<probe|"; cat; echo talk >&2' 'input line'
ended ok
run job.sh state ok
run job.sh result ok
start_job ok 'echo again' '' try2
run job.sh state ok
run job.sh clean ok
run job.sh state ok
