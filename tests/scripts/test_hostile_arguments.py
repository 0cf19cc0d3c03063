"""Hostile arguments and lines at the remote scripts: refused before anything is done, or literal.

Run with a PATH of next to nothing, in a folder of their own: nothing of this machine is in reach.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from ack_preload.hooks.assistant_calls import conversation
from ack_preload.hooks.ssh_calls import ScriptCall
from tests.scripts.conftest import REMOTE
from tests.unit.hostile.corpus import KINDS, PAYLOADS

BASH = shutil.which("bash") or "/bin/bash"
TOOLS = ("bash", "date", "touch", "mkdir", "rmdir", "rm", "cat", "find", "wc", "head", "tail")
PACKERS = ("sha256sum", "gzip", "base64")
BAD_USAGE, NO_IMAGE = 2, 3
# What a shell would do something about: it stands for the rest, which the grammars are tried with.
SHARP = [text for text in PAYLOADS if "CANARY" in text and text.isascii() and "\0" not in text]
UUID = "4b1d0000-0000-5000-8000-000000000001"
URL, KUBERNETES, MOUNT = "http://127.0.0.1:1", "1.32.1-aliyun.1", "/mnt/ack-preload"
GOOD: dict[str, Sequence[Sequence[str]]] = {
    "install_runtime.sh": [["1.6.20"]],
    "kubelet_package.sh": [[URL, KUBERNETES, "amd64", MOUNT, "0" * 64]],
    "prepare_disk.sh": [["bp1c0ffee00000000001", MOUNT, UUID]],
    "pull_images.sh": [["1", "1"]],
    "seal_disk.sh": [[MOUNT]],
    "job.sh": [["state", "job-1"], ["stop", "job-1", "owner"]],
}
PLACES = [
    (script, tuple(arguments), place)
    for script, uses in GOOD.items()
    for arguments in uses
    for place in range(len(arguments))
]


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """Return an environment in which a script finds a few harmless tools and nothing else."""
    tools, root = tmp_path / "bin", tmp_path / "root"
    for folder in (tools, root, tmp_path / "cwd"):
        folder.mkdir()
    for name in (*TOOLS, *PACKERS):
        (tools / name).symlink_to(shutil.which(name) or f"/usr/bin/{name}")
    return {"PATH": str(tools), "ACK_PRELOAD_ROOT": str(root), "HOME": str(root)}


def run(
    arguments: Sequence[str | bytes], env: dict[str, str], stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    cwd = Path(env["PATH"]).parent / "cwd"
    done = subprocess.run(  # that is what is tested
        [BASH, *arguments], input=stdin, env=env, cwd=cwd, capture_output=True, check=False
    )
    assert os.listdir(cwd) == []  # noqa: PTH208  # no CANARY, nor anything else
    return done


@pytest.mark.parametrize(
    ("script", "arguments", "place"), PLACES, ids=[f"{s} {a[p][:20]}" for s, a, p in PLACES]
)
def test_no_argument_is_taken_for_a_command(
    bare: dict[str, str], script: str, arguments: tuple[str, ...], place: int
) -> None:
    good = arguments[place]
    option = () if good == "owner" else ("-x",)  # which is a word, and is only compared
    for text in (*SHARP[::2], *option, "../x", f"{good}\n", f"{good} x", "\u0660"):
        given = [*arguments[:place], text, *arguments[place + 1 :]]
        done = run([str(REMOTE / script), *given], bare)
        assert (text, done.returncode) == (text, BAD_USAGE)
        assert done.stderr
        assert done.stdout == b""


@pytest.mark.parametrize("kind", ["mount point", "serial"])
def test_prepare_disk_takes_no_hostile_path_or_serial(bare: dict[str, str], kind: str) -> None:
    place = {"serial": 0, "mount point": 1}[kind]
    for text in [each for each in KINDS[kind].extras if "\0" not in each]:
        given = list(GOOD["prepare_disk.sh"][0])
        given[place] = text
        done = run([str(REMOTE / "prepare_disk.sh"), *given], bare)
        assert (text, done.returncode) == (text, BAD_USAGE)


REFERENCES = [
    text
    for text in KINDS["image reference"].extras
    if not {"\n", "\0", "\ud800"} & set(text) and not set(text) <= set("abcxyz0123456789.:/@_")
]


@pytest.mark.parametrize("script", ["pull_images.sh", "seal_disk.sh"])
def test_no_line_of_a_lock_is_taken_for_anything_else(bare: dict[str, str], script: str) -> None:
    digest = "sha256:" + "0" * 64
    host = "registry.example.com"
    own = ["-x/a:1", "--all/a:1", f"{host}/../a:1", f"{host}/-a:1", ".x/a", "../a:1"]
    for text in (*own, *(text for text in REFERENCES[::4] if hostile_to_bash(text))):
        line = f"{digest} 1 {text}\n".encode(errors="surrogatepass")
        done = run([str(REMOTE / script), *GOOD[script][0]], bare, line)
        assert (text, done.returncode) == (text, NO_IMAGE)


def hostile_to_bash(text: str) -> bool:
    """Tell whether a text has what a shell, or a terminal, would not take for a plain word."""
    return not text.isascii() or any(not (each.isalnum() or each in "._-/:@") for each in text)


# -- what is passed on, is passed on to the letter

ECHO = b'printf "%s\\0" "$@"\0'


def test_over_ssh_every_argument_arrives_as_it_is(bare: dict[str, str]) -> None:
    words = [each for each in PAYLOADS if "\0" not in each and each.isascii()]
    call = ScriptCall("probe.sh", words)
    done = run(["-c", call.command], bare, ECHO)
    # The first word is the name of the script, as bash has it in $0.
    assert done.stdout.decode().split("\0")[:-1] == words


@pytest.mark.parametrize("text", SHARP[::5])
def test_by_cloud_assistant_every_argument_arrives_as_it_is(
    bare: dict[str, str], text: str
) -> None:
    talk = conversation(ScriptCall("install_runtime.sh", [text]), 60)
    command, result = next(talk), None
    while result is None:
        done = run(["-c", command.content.decode()], bare)
        try:
            command = talk.send(done.stdout)
        except StopIteration as ended:
            result = ended.value
    assert result.exit_code == BAD_USAGE
    assert f"version '{text}' is not like" in result.stderr
