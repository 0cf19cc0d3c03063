# shellcheck shell=bash disable=SC2154  # see ../prelude.sh
# As with a full system disk: what cannot be written down as pulled is not, whatever the rest says.
with_runtime
mkdir() { [[ $1 != */taken.* ]] && command mkdir "$@"; }
export -f mkdir
run pull_images.sh 2 1 <<<"$LOCK"
