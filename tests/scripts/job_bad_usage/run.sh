# shellcheck shell=bash disable=SC2154,SC2016  # see ../prelude.sh
run job.sh
run job.sh state
run job.sh state ../etc
run job.sh state 'a b'
run job.sh state a b
run job.sh start name
run job.sh start name try1
run job.sh start name try1 not-a-hash probe.sh </dev/null
hash=$(printf 'x\0' | sha256sum)
run job.sh start name 'try 1' "${hash%% *}" probe.sh </dev/null
run job.sh start name try1 "${hash%% *}" '../../bin/sh' < <(printf 'x\0')
run job.sh dance name
