"""Run the host's own tools, and say what went wrong when one fails."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from emulator.machines.base import MachineError

# Tools of the system administrator are not on the PATH of an ordinary user who became root.
TOOL_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# Far more than any of these tools takes, also in a virtual machine under software emulation;
# it only keeps a hanging tool from hanging the emulator.
LIMIT_S = 300.0


def environment() -> dict[str, str]:
    """Return the environment of a tool: messages in English, no proxy, no Python settings."""
    return {"PATH": TOOL_PATH, "HOME": "/root", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}


def run(*command: str | os.PathLike[str], text: str = "") -> str:
    """Run a tool with ``text`` on its standard input and return what it printed.

    :raises MachineError: with the command, its exit code and what it said.
    """
    words = [os.fspath(word) for word in command]
    try:
        done = subprocess.run(
            words,
            input=text,
            capture_output=True,
            text=True,
            env=environment(),
            check=False,
            timeout=LIMIT_S,
        )
    except FileNotFoundError:
        raise MachineError(f"{words[0]} is not installed on this host") from None
    except subprocess.TimeoutExpired:
        raise MachineError(f"{' '.join(words)}: still running after {LIMIT_S:.0f} s") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        raise MachineError(f"{' '.join(words)}: exit {done.returncode}: {said}")
    return done.stdout


def attempt(*command: str | os.PathLike[str]) -> str | None:
    """Run a tool for tidying up; return its complaint, or ``None`` when it did its work."""
    try:
        run(*command)
    except MachineError as error:
        return str(error)
    return None


def last_lines(file: Path, count: int = 8) -> str:
    """Return the end of a log for an error message."""
    if not file.exists():
        return f"{file} was not written"
    lines: Sequence[str] = file.read_text(errors="replace").splitlines()
    return "\n".join(lines[-count:]) or f"{file} is empty"
