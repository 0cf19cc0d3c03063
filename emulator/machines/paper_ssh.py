"""SSH to a paper machine: key login of root only, each command run by bash in its folder."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from emulator.faults import Faults, HostKeyChanged, SshDropped, SshRefused
from emulator.machines.base import MachineError
from emulator.machines.paper_shell import Shell

if TYPE_CHECKING:
    import asyncssh

log = logging.getLogger(__name__)

HOST_KEY = "etc/ssh/ssh_host_ed25519_key.pub"
CHUNK = 64 * 1024
BACKLOG = 128
ACCEPT_AGAIN_S = 0.1
TAKEN_WITHIN_S = 2.0  # by a client that is about to be cut
MIN_EXIT = 0
SIGNALLED = 128  # what a shell adds to a signal number


class SshServer:
    """The listener of one machine. Its host key stays the same as long as the machine exists."""

    def __init__(
        self, shell: Shell, authorized_keys: tuple[str, ...], faults: Faults, names: tuple[str, ...]
    ) -> None:
        import asyncssh  # noqa: PLC0415  # 0.2 s; not every emulator has paper machines

        asyncssh.set_log_level("WARNING")  # else a dozen lines for every command
        self._shell = shell
        self._faults = faults
        self._names = names
        self._key = self._new_key()
        try:
            self._authorized = asyncssh.import_authorized_keys("\n".join(authorized_keys))
        except (asyncssh.KeyImportError, ValueError) as exc:
            raise MachineError(f"an authorized key cannot be read: {exc}") from None
        self._accepting: asyncio.Task[None] | None = None
        self._commands: set[asyncio.Task[None]] = set()
        self._logins: set[asyncio.Task[None]] = set()
        self._connections: set[asyncssh.SSHServerConnection] = set()

    @property
    def host_key(self) -> str:
        """Return the public host key as ``known_hosts`` writes it, without the host."""
        return self._key.export_public_key().decode().strip()

    def _show_key(self) -> None:
        """Keep the public host key where a machine has it, for what runs there."""
        file = self._shell.root / HOST_KEY
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{self.host_key}\n")

    async def open(self, address: str, port: int) -> None:
        """Listen.

        :raises MachineError: where the address cannot be had, as 127.77.0.0/16 on macOS.
        """
        try:
            listener = socket.create_server((address, port), backlog=BACKLOG)
        except OSError as exc:
            raise MachineError(
                f"SSH of a paper machine cannot listen on {address}:{port}: {exc}; on macOS run "
                f"`sudo ifconfig lo0 alias {address}` first, elsewhere free the port"
            ) from exc
        listener.setblocking(False)
        self._show_key()
        self._accepting = asyncio.create_task(self._accept(listener))

    async def close(self) -> None:
        tasks = [*self._logins, *([self._accepting] if self._accepting else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._accepting = None
        for connection in list(self._connections):
            connection.abort()
        self._connections.clear()

    async def _accept(self, listener: socket.socket) -> None:
        """Take connections, each by its own: a fault may strike at any one of them."""
        loop = asyncio.get_running_loop()
        with listener:
            while True:
                try:
                    connection, _ = await loop.sock_accept(listener)
                except OSError as exc:  # no more files, or a client that gave up: it passes
                    log.warning("No SSH connection to %s: %s", self._names[0], exc)
                    await asyncio.sleep(ACCEPT_AGAIN_S)
                    continue
                if self._faults.strike(SshRefused, *self._names):
                    reset(connection)
                    continue
                if self._faults.strike(HostKeyChanged, *self._names):
                    self._key = self._new_key()
                    self._show_key()
                login = asyncio.create_task(self._log_in(connection))
                self._logins.add(login)
                login.add_done_callback(self._logins.discard)

    async def _log_in(self, connection: socket.socket) -> None:
        import asyncssh  # noqa: PLC0415

        server = self

        class Login(asyncssh.SSHServer):
            def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
                self._conn = conn
                server._connections.add(conn)

            def connection_lost(self, exc: Exception | None) -> None:
                server._connections.discard(self._conn)

            def begin_auth(self, username: str) -> bool:
                if username == "root":
                    self._conn.set_authorized_keys(server._authorized)
                return True

        with contextlib.suppress(asyncssh.Error, OSError):  # a client that gave up is no news
            await asyncssh.run_server(
                connection,
                server_factory=Login,
                server_host_keys=[self._key],
                process_factory=self._serve,
                encoding=None,
                allow_scp=False,
                agent_forwarding=False,
            )

    @staticmethod
    def _new_key() -> asyncssh.SSHKey:
        import asyncssh  # noqa: PLC0415

        return asyncssh.generate_private_key("ssh-ed25519")

    async def finished(self) -> None:
        """Wait for the commands, whose processes have been ended or end by themselves."""
        await asyncio.gather(*self._commands, return_exceptions=True)

    async def _serve(self, session: asyncssh.SSHServerProcess[bytes]) -> None:
        # A command outlives its connection, and has its output read so that it does not block.
        command = asyncio.create_task(self._run(session))
        self._commands.add(command)
        command.add_done_callback(self._commands.discard)
        await asyncio.shield(command)

    async def _run(self, session: asyncssh.SSHServerProcess[bytes]) -> None:
        connection = session.channel.get_connection()  # the channel forgets it when it closes
        process = await self._shell.run(session.command or "exec bash -s")
        dropped = self._faults.strike(SshDropped, *self._names)
        allowance = None if dropped is None else _Allowance(dropped.after_bytes, connection)
        if allowance is not None and not allowance.left:
            connection.abort()
        feed = asyncio.create_task(_feed(session, process))
        await asyncio.gather(
            _pump(process.stdout, session.stdout, allowance),
            _pump(process.stderr, session.stderr, allowance),
        )
        code = await process.wait()
        feed.cancel()
        await asyncio.gather(feed, return_exceptions=True)  # it closes the last of the pipes
        if allowance is not None:
            connection.abort()
        with contextlib.suppress(OSError):  # the client is gone
            session.exit(code if code >= MIN_EXIT else SIGNALLED - code)


@dataclass(slots=True)
class _Allowance:
    """How many bytes a connection may still carry, before it is cut."""

    left: int
    connection: asyncssh.connection.SSHConnection


def reset(connection: socket.socket) -> None:
    """Close a connection so that the other side hears of it as a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


async def _feed(
    session: asyncssh.SSHServerProcess[bytes], process: asyncio.subprocess.Process
) -> None:
    """Pass the client's input on; a program that does not read it is no error."""
    assert process.stdin is not None  # noqa: S101  # a pipe was asked for
    try:
        while chunk := await session.stdin.read(CHUNK):
            process.stdin.write(chunk)
            await process.stdin.drain()
    except (OSError, asyncio.IncompleteReadError):
        pass
    finally:
        process.stdin.close()
        with contextlib.suppress(OSError):
            await process.stdin.wait_closed()


async def _pump(
    source: asyncio.StreamReader | None,
    target: asyncssh.SSHWriter[bytes],
    allowance: _Allowance | None,
) -> None:
    """Pass output on until it ends; when the client is gone, read on so that nothing blocks."""
    import asyncssh  # noqa: PLC0415

    assert source is not None  # noqa: S101  # a pipe was asked for
    is_open = True
    while chunk := await source.read(CHUNK):
        if not is_open:
            continue
        if allowance is not None:
            chunk = chunk[: allowance.left]  # the rest is never sent
            allowance.left -= len(chunk)
        try:
            target.write(chunk)
            if allowance is None or allowance.left:
                await target.drain()
        except (OSError, asyncssh.Error):
            is_open = False
        if allowance is not None and not allowance.left:
            is_open = False
            await _taken(target)  # an abort drops what is still here
            allowance.connection.abort()


async def _taken(target: asyncssh.SSHWriter[bytes]) -> None:
    """Wait until all is sent, for as long as the client goes on to take it."""
    size, until = sys.maxsize, 0.0
    while (left := target.channel.get_write_buffer_size()) and not target.is_closing():
        if left < size:
            size, until = left, time.monotonic() + TAKEN_WITHIN_S
        elif time.monotonic() > until:
            break
        await asyncio.sleep(0.01)
