# shellcheck shell=bash disable=SC2154,SC2016  # see ../prelude.sh
run pull_images.sh
run pull_images.sh 0 1 <<<"$LOCK"
run pull_images.sh 3 100 <<<"$LOCK"
run pull_images.sh '1;id' 1 <<<"$LOCK"
run pull_images.sh 1 1 </dev/null
