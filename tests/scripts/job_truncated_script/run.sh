# shellcheck shell=bash disable=SC2154,SC2016  # see ../prelude.sh
# The connection broke before the NUL: nothing is started.
run job.sh start cut try1 probe.sh < <(printf 'echo half of a scr')
run job.sh state cut
