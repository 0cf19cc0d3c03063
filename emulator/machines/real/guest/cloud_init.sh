#!/bin/bash
# The part of cloud-init that ACK needs: run user data once, on the first boot.
#
# A node's user data is three parts in a row, as on ACK: the pool's pre-defined custom data, ACK's
# own script, the pool's user data. A failing part is logged and the next one runs all the same,
# as in the one long script that they are on ACK; but a node whose init failed must never join,
# so the third part is skipped with it.
#
# exit: 0; cloud-init never stops a boot.
set -uo pipefail

seed=/var/lib/cloud/seed
finished=/var/lib/cloud/instance/boot-finished

main() {
  if [[ -e $finished ]]; then
    return
  fi
  mkdir -p "${finished%/*}"
  if [[ -e /etc/ack/join.json ]]; then
    run_part pre-user-data "$seed/pre-user-data"
    say 'running ACK init'
    if bash /opt/ack-machine/ack_init.sh; then
      run_part user-data "$seed/user-data"
    else
      say "ACK init failed with exit code $?: this machine does not join"
      # For the cloud, which shows it as the node's error message.
      {
        grep -v ' ack-init: ' /var/log/cloud-init-output.log | tail -n 4 | head -n 3
        [[ ! -e /var/log/kubelet.log ]] || tail -n 1 /var/log/kubelet.log
      } | tr '\n' ' ' >/var/log/join-failed.log
    fi
  else
    run_part user-data "$seed/user-data"
  fi
  date --utc +%FT%T.%3NZ >"$finished"
}

run_part() {
  local name=$1 file=$2 code=0
  if [[ ! -s $file ]]; then
    return
  fi
  if [[ $(head -c 2 "$file") == '#!' ]]; then
    chmod 700 "$file"
    "$file" || code=$?
  elif [[ -e /etc/ack/join.json ]]; then
    bash "$file" || code=$? # on a node it is text in ACK's shell script
  else
    say "Unhandled non-multipart (text/x-not-multipart) $name"
    return
  fi
  say "$name ended with exit code $code"
}

say() {
  echo "$(date --utc +%FT%T.%3NZ) cloud-init: $*"
}

main
