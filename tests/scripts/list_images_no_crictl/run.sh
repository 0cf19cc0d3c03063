# shellcheck shell=bash disable=SC2154,SC2016  # see ../prelude.sh
run list_images.sh
run list_images.sh surplus
