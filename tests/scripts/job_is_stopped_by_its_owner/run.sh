# shellcheck shell=bash disable=SC2154,SC2016  # see ../prelude.sh
# An earlier try cannot stop what a later one has taken over.
start_job long 'sleep 600 & sleep 600' '' try1
start_job long 'not run' '' try2
run job.sh stop long try1
run job.sh state long
run job.sh clean long
run job.sh stop long try2
run job.sh state long
run job.sh stop long try2
