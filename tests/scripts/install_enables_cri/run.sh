# shellcheck shell=bash disable=SC2154,SC2016  # see ../prelude.sh
# Docker's package switches the CRI plugin off.
mkdir -p /etc/containerd
printf 'version = 2\ndisabled_plugins = ["cri"]\n' | tee /etc/containerd/config.toml >/dev/null
run install_runtime.sh 1.6.20
cat "$root/etc/containerd/config.toml"
