# shellcheck shell=bash disable=SC2154,SC2016  # see ../prelude.sh
# A node's images, as table and as JSON.
pulled
run list_images.sh | grep -v '"uid"\|"username"\|"spec"' | sed "s/$(uname -s) $(uname -m)/SYSTEM MACHINE/"
