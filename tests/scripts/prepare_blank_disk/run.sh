# shellcheck shell=bash disable=SC2154,SC2016  # see ../prelude.sh
# A blank disk gets its file system and both mounts; a second run changes nothing.
run prepare_disk.sh "$SERIAL" "$MOUNT" "$UUID"
findmnt -rn -o TARGET,SOURCE
run prepare_disk.sh "$SERIAL" "$MOUNT" "$UUID"
findmnt -rn -o TARGET
cat "$root/etc/fstab"
