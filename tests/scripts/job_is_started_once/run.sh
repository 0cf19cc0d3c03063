# shellcheck shell=bash disable=SC2154,SC2016  # see ../prelude.sh
# Ten starts at a time: one of them starts it.
for n in {1..10}; do
    start_job once "echo ran >>../ran; sleep 0.5" '' "try$n" &
done >"$root/tmp/starts"
wait
sort "$root/tmp/starts" | uniq -c | sed 's/^ *//'
ended once
cat "$root/var/lib/ack-preload/jobs/ran"
