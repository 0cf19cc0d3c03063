# shellcheck shell=bash disable=SC2154  # see ../prelude.sh
# Not the key of the image, but the one that cloud-init makes on the first boot.
mkdir -p "$root/etc/ssh" "$root/var/lib/cloud/instance/sem"
echo 'ssh-ed25519 AAAAimage' >"$root/etc/ssh/ssh_host_ed25519_key.pub"
{
    sleep 0.3
    echo 'ssh-ed25519 AAAAown root@builder' >"$root/etc/ssh/ssh_host_ed25519_key.pub"
    touch "$root/var/lib/cloud/instance/sem/config_ssh"
} &
run host_key.sh
run host_key.sh
run host_key.sh now
