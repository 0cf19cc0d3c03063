# shellcheck shell=bash disable=SC2154,SC2016  # see ../prelude.sh
# Starts that are killed at any moment, before and after the job began: it runs once all the same.
text='echo ran >>../ran; while [[ ! -e ../go ]]; do sleep 0.05; done'
hash=$(printf '%s\0' "$text" | sha256sum)
for n in {1..8}; do
    bash "$SCRIPTS/job.sh" start once "try$n" "${hash%% *}" probe.sh < <(printf '%s\0' "$text") >/dev/null 2>&1 &
    sleep "0.0$n"
    kill -KILL "$!" 2>/dev/null
    wait "$!" 2>/dev/null
done
quietly sent_job start once last "$text" ''
run job.sh state once
touch "$root/var/lib/ack-preload/jobs/go"
ended once
cat "$root/var/lib/ack-preload/jobs/ran"
