# shellcheck shell=bash disable=SC2154,SC2016  # see ../prelude.sh
run prepare_disk.sh
run prepare_disk.sh "$SERIAL" "$MOUNT"
run prepare_disk.sh '*' "$MOUNT" "$UUID"
run prepare_disk.sh '../../vda' "$MOUNT" "$UUID"
run prepare_disk.sh "$SERIAL" 'relative' "$UUID"
run prepare_disk.sh "$SERIAL" '/mnt/../etc' "$UUID"
run prepare_disk.sh "$SERIAL" '/' "$UUID"
run prepare_disk.sh "$SERIAL" "$MOUNT" 'not-a-uuid; reboot'
