# shellcheck shell=bash disable=SC2154,SC2016  # see ../prelude.sh
run kubelet_package.sh "$PACKAGES_URL" 1.32.1-aliyun.1 amd64 "$MOUNT"
run kubelet_package.sh 'ftp://x' 1.32.1 amd64 "$MOUNT"
run kubelet_package.sh "$PACKAGES_URL" '1.32.1 $(id)' amd64 "$MOUNT"
run kubelet_package.sh "$PACKAGES_URL" 1.32.1 mips "$MOUNT"
