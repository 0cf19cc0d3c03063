#!/bin/bash
# The agent of Cloud Assistant in a machine: keeps a script in a file and runs it.
#
# usage: assist.sh save|run ID USER FOLDER
#   USER    who runs it; empty is root, and then its file is the agent's own
#   FOLDER  where it runs; empty is the user's home
# stdin:  of save, the script
# exit:   71 no such user, 72 no such folder; of run, the script's own
set -euo pipefail

readonly no_user=71 no_folder=72
verb=$1 id=$2 user=$3 folder=$4
home=/root scripts=/usr/local/share/aliyun-assist/work/script as=()

if [[ -n $user ]]; then
    entry=$(getent passwd -- "$user") || exit "$no_user"
    IFS=: read -r _ _ uid gid _ home _ <<<"$entry"
    scripts=/tmp
    as=(setpriv --reuid "$uid" --regid "$gid" --init-groups)
fi
[[ ${folder:-/} == /* && -d ${folder:=$home} ]] || exit "$no_folder"
file=$scripts/$id.sh

case $verb in
    save)
        mkdir -p "$scripts"
        cat >"$file"
        chmod 755 "$file"
        ;;
    run)
        cd "$folder"
        export HOME=$home
        exec "${as[@]}" sh -c "$file"
        ;;
esac
