# shellcheck shell=bash disable=SC2154  # see ../prelude.sh
# An image behind a login. Without one, with a wrong one, and with one of another registry: told
# apart, and final. With the right one it is there, and the password in no file of machine or disk.
with_runtime
lines() { printf '%s' "$@"; }
run pull_images.sh 1 4 < <(lines "$PRIVATE_LOCK")
run pull_images.sh 1 4 3< <(lines "$WRONG_LOGIN") < <(lines "$PRIVATE_LOCK")
run pull_images.sh 1 4 3< <(lines "registry.example.com ${LOGIN#* }") < <(lines "$PRIVATE_LOCK")
run pull_images.sh 1 4 3< <(lines "$LOGIN") < <(lines "${PRIVATE_LOCK/reranker/nothing}")
run pull_images.sh 1 4 3< <(echo 'host user s3cret') < <(lines "$PRIVATE_LOCK")
run pull_images.sh 1 1 3< <(lines "$LOGIN") < <(lines "$PRIVATE_LOCK" "$LOCK")
crictl images | grep -c team/reranker
coded=${LOGIN##* }
grep -rl -e "$PASSWORD" -e "${coded%?}" "$root/" "$root/../../../disks" || echo "in no file"
systemctl stop containerd
run pull_images.sh 1 1 3< <(lines "$LOGIN") < <(lines "$PRIVATE_LOCK")
