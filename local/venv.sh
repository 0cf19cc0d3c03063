#!/usr/bin/env bash
# Bring .venv to what requirements.txt (or, with "dev", requirements-dev.txt) pins by hash; with
# "compose" make .local/compose-venv, which holds what the containers of docker-compose.yaml do.
#
# A stamp named after the checksum of all inputs makes the second run instant.
set -euo pipefail

cd "$(dirname "$0")/.."
kind=${1:-run}
case "$kind" in
run) requirements="requirements.txt" ;;
compose) requirements="requirements-compose.txt" ;;
dev) requirements="requirements-dev.txt" ;;
*)
    echo "usage: local/venv.sh [run|dev|compose]" >&2
    exit 2
    ;;
esac

say() { printf '%s\n' "$*" >&2; }
venv=.venv
[ "$kind" = compose ] && venv=.local/compose-venv
python=$venv/bin/python

if [ ! -x $python ] || ! $python -c '' 2>/dev/null; then
    for base in python3.11 python3.12 python3.13 python3; do
        if command -v $base >/dev/null && $base -c \
            'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            found=$base
            break
        fi
    done
    if [ -z "${found:-}" ]; then
        say "venv: no Python from 3.11 on with its venv module; install python3.11 and python3.11-venv"
        exit 1
    fi
    say "venv: creating $venv with $($found --version)"
    rm -rf $venv
    mkdir -p .local
    $found -m venv $venv
fi

stamp_of() {
    cat "$1" requirements-build.txt pyproject.toml local/venv.sh <($python --version) | sha256sum |
        cut -c1-16
}
stamp=$venv/.$kind-$(stamp_of $requirements)
# What check and test need holds what a run needs.
if [ -e "$stamp" ] || [ -e "$venv/.dev-$(stamp_of requirements-dev.txt)" ]; then exit 0; fi

say "venv: installing $requirements"
log=.local/logs/venv-$kind.log
mkdir -p "$(dirname "$log")"
quietly() {
    if ! "$@" >>"$log" 2>&1; then
        say "venv: failed: $*; the end of $log:"
        tail -n 15 "$log" >&2
        exit 1
    fi
}
: >"$log"
rm -f $venv/.run-* $venv/.dev-* $venv/.compose-*
# uv and setuptools, by hash as all else: nothing is built with a tool that is not pinned.
quietly $python -m pip install --require-hashes --disable-pip-version-check -r requirements-build.txt
if [ -x $venv/bin/uv ]; then
    quietly $venv/bin/uv pip install --python $python --require-hashes -r $requirements
else
    quietly $python -m pip install --require-hashes -r $requirements
fi
if [ "$kind" != compose ]; then
    quietly $python -m pip install --no-deps --no-build-isolation --editable .
fi
touch "$stamp"
