# shellcheck shell=bash disable=SC2154,SC2016  # see ../prelude.sh
# Put where ACK looks for it; a second run finds it.
with_runtime
run kubelet_package.sh "$PACKAGES_URL" 1.32.1-aliyun.1 amd64 "$MOUNT" |
    sed 's/"[0-9a-f]\{64\}"/"SHA256"/; s/"bytes": [1-9][0-9]*/"bytes": SIZE/'
(cd "$root$MOUNT/ack/" && find . -type f | sort)
run kubelet_package.sh "$PACKAGES_URL" 1.32.1-aliyun.1 amd64 "$MOUNT"
