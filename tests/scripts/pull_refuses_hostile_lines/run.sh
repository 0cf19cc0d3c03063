# shellcheck shell=bash disable=SC2154,SC2016  # see ../prelude.sh
# A lock is checked as a whole before the first pull.
with_runtime
D=sha256:$(printf '0%.0s' {1..64})
for line in \
    "registry/a:1" \
    "$D 1" \
    "$D 1 registry.example.com/a:1; touch /tmp/pwned" \
    "$D 1 registry.example.com/\$(touch /tmp/pwned):1" \
    "$D 1 registry.example.com/a:1 extra" \
    "$D x registry.example.com/a:1" \
    "${D}0 1 registry.example.com/a:1" \
    "sha512:${D#sha256:} 1 registry.example.com/a:1" \
    "$D 1 -registry" \
    "$D 1 --all"; do
    run pull_images.sh 1 1 <<<"$LOCK$line"
done
ctr -n k8s.io images ls -q
