# shellcheck shell=bash disable=SC2154,SC2016  # see ../prelude.sh
with_runtime
ACK_PRELOAD_PROGRESS=$root/tmp/progress run pull_images.sh 3 1 <<<"$LOCK" 2>&1 | sed 's|^[0-9TZ:-]* ||' | sort
cat "$root/tmp/progress"
