"""One script call: what is sent, and over SSH how it runs and what it says.

A script travels over stdin, ahead of its own input, and its arguments as quoted words: nothing is
ever spliced into a shell line, and nothing is left on the machine.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import TYPE_CHECKING

from ack_preload.domain.errors import RemoteJobError

if TYPE_CHECKING:
    import asyncssh
    import paramiko

CONNECT_TIMEOUT_S = 20.0
LAST_LINES = 20

READ_SCRIPT = 'IFS= read -r -d "" script && exec bash -c "$script" "$@"'
"""Takes a script from stdin, up to a NUL, and runs it with the rest of stdin as its input. A
connection that breaks before the NUL runs nothing."""


@dataclass(frozen=True, slots=True)
class ScriptCall:
    """A script of ``ack_preload/remote``, with its arguments and input.

    :ivar secret: what only stdin may carry; sent with a NUL ahead of ``stdin`` when there is any.
    """

    name: str
    arguments: Sequence[str] = ()
    stdin: bytes = b""
    secret: bytes = field(default=b"", repr=False)

    @property
    def command(self) -> str:
        return shlex.join(["bash", "-c", READ_SCRIPT, "bash", self.name, *self.arguments])

    @property
    def sent(self) -> bytes:
        secret = self.secret + b"\0" if self.secret else b""
        return script_text(self.name) + b"\0" + secret + self.stdin


@dataclass(frozen=True, slots=True)
class ScriptResult:
    """How a script ended: what it wrote to stdout, and to stderr."""

    name: str
    exit_code: int
    stdout: str
    stderr: str

    def checked(self) -> ScriptResult:
        """Return itself.

        :raises RemoteJobError: for an exit code other than 0.
        """
        if self.exit_code:
            said = last_lines(self.stderr) or "it said nothing"
            raise RemoteJobError(f"{self.name} ended with exit code {self.exit_code}: {said}")
        return self


def script_text(name: str) -> bytes:
    return files("ack_preload").joinpath("remote", name).read_bytes()


def last_lines(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-LAST_LINES:])


def run(client: paramiko.SSHClient, call: ScriptCall, within_s: float) -> ScriptResult:
    """Run a script over an open connection.

    :raises TimeoutError: when it has not ended ``within_s`` after its last word.
    """
    transport = client.get_transport()
    if transport is None:
        raise EOFError("the connection is closed")
    channel = transport.open_session(timeout=CONNECT_TIMEOUT_S)
    channel.settimeout(within_s)
    channel.exec_command(call.command)
    try:
        channel.sendall(call.sent)
        channel.shutdown_write()
    except OSError:
        pass  # a script that ends early does not read all its input; its exit code says why
    stdout = channel.makefile("rb").read()
    stderr = channel.makefile_stderr("rb").read()
    if not channel.status_event.wait(within_s):
        raise TimeoutError(f"{call.name} does not end")
    code = channel.recv_exit_status()
    if code < 0:
        raise EOFError(f"the connection broke while {call.name} ran")
    return ScriptResult(
        call.name, code, stdout.decode(errors="replace"), stderr.decode(errors="replace")
    )


async def arun(connection: asyncssh.SSHClientConnection, call: ScriptCall) -> ScriptResult:
    """Run a script over an open connection of asyncssh."""
    done = await connection.run(call.command, input=call.sent, encoding=None)
    if done.exit_status is None or done.exit_status < 0:
        raise ConnectionError(f"the connection broke while {call.name} ran")
    return ScriptResult(call.name, done.exit_status, _text(done.stdout), _text(done.stderr))


def _text(said: bytes | str | None) -> str:
    return said.decode(errors="replace") if isinstance(said, bytes) else said or ""
