# shellcheck shell=bash disable=SC2154,SC2016  # see ../prelude.sh
# containerd is there, at another version than the node pool's: refused, not replaced.
quietly run install_runtime.sh 1.6.20
run install_runtime.sh 1.6.36
