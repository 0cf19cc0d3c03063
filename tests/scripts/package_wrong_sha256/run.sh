# shellcheck shell=bash disable=SC2154,SC2016  # see ../prelude.sh
with_runtime
run kubelet_package.sh "$PACKAGES_URL" 1.32.1-aliyun.1 amd64 "$MOUNT" "$(printf '0%.0s' {1..64})" 2>&1 |
    sed "s/has SHA-256 [0-9a-f]*/has SHA-256 SHA256/"
ls "$root$MOUNT/ack"
