# shellcheck shell=bash disable=SC2154,SC2016  # see ../prelude.sh
# The last words of a failed script come with its state; starting it again starts it anew.
start_job bad 'echo first >&2; echo "why \"it\" failed" >&2; exit 4' ''
ended bad
run job.sh state bad
run job.sh result bad
start_job bad 'echo second' '' try2
ended bad
run job.sh state bad
run job.sh result bad
