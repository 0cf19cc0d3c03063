# shellcheck shell=bash disable=SC2154  # see ../prelude.sh
id=0123456789abcdef0123456789abcdef
run assistant.sh
run assistant.sh put ../../etc 0
run assistant.sh put "$id" 00
run assistant.sh put "$id" 0 more
run assistant.sh run "$id" 0 hash probe.sh
run assistant.sh dance "$id" 0
run assistant.sh run "$id" 0 "$(printf '%064d' 0)" probe.sh < <(echo half | base64)
