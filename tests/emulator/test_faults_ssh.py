"""SSH of paper machines that fails on demand: refused, cut half-way, with another host key."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import socket

import asyncssh
import pytest

from emulator.faults import (
    HostKeyChanged,
    SshDropped,
    SshRefused,
)
from emulator.machines import paper_ssh
from tests.emulator.paper_lab import Lab

WITHIN_S = 10.0


class TestSsh:
    @pytest.mark.parametrize("target", ["i-1", "builder", "build*"], ids=["id", "name", "glob"])
    async def test_a_refused_connection_is_closed_and_the_next_one_works(
        self, lab: Lab, target: str
    ) -> None:
        lab.faults.add(SshRefused(target=target))
        with pytest.raises((OSError, asyncssh.Error)):
            await lab.run("true")
        assert (await lab.run("echo there")).stdout == "there\n"

    async def test_another_machine_is_let_alone(self, lab: Lab) -> None:
        lab.faults.add(SshRefused(target="i-2", times=0))
        assert (await lab.run("echo there")).stdout == "there\n"

    async def test_only_the_connections_that_were_named_are_refused(self, lab: Lab) -> None:
        lab.faults.add(SshRefused(target="i-1", nth=2, times=2))
        assert [await self._connects(lab) for _ in range(4)] == [True, False, False, True]

    async def _connects(self, lab: Lab) -> bool:
        try:
            await lab.run("true")
        except (OSError, asyncssh.Error):
            return False
        return True

    @pytest.mark.parametrize("after_bytes", [0, 5, 200_000])
    async def test_a_dropped_connection_has_sent_so_many_bytes(
        self, lab: Lab, after_bytes: int
    ) -> None:
        lab.faults.add(SshDropped(after_bytes=after_bytes))
        async with lab.connection() as connection:
            command = "head -c 400000 /dev/zero | tr '\\0' x; sleep 600"
            async with connection.create_process(command, encoding=None) as process:
                received = b""
                with contextlib.suppress(asyncssh.ConnectionLost):
                    while chunk := await process.stdout.read(4096):
                        received += chunk
                await connection.wait_closed()
        assert len(received) == after_bytes
        assert process.exit_status is None

    async def test_a_client_that_does_not_read_is_dropped_all_the_same(
        self, lab: Lab, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(paper_ssh, "TAKEN_WITHIN_S", 0.1)
        lab.faults.add(SshDropped(after_bytes=50_000))
        command = "head -c 60000 /dev/zero; sleep 600"
        async with (
            lab.connection() as connection,
            connection.create_process(command, encoding=None, window=1000),
        ):
            await asyncio.wait_for(connection.wait_closed(), WITHIN_S)

    async def test_the_listener_outlives_a_lack_of_open_files(
        self, lab: Lab, caplog: pytest.LogCaptureFixture
    ) -> None:
        loop, limits = asyncio.get_running_loop(), resource.getrlimit(resource.RLIMIT_NOFILE)
        with socket.socket() as client:
            client.setblocking(False)
            free = os.dup(client.fileno())
            os.close(free)
            resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
            try:
                address = (lab.machine.spec.private_ip, lab.machines.ssh_port)
                await loop.sock_connect(client, address)
                async with asyncio.timeout(WITHIN_S):
                    while "No SSH connection to i-1" not in caplog.text:
                        await asyncio.sleep(0)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            async with asyncio.timeout(WITHIN_S):
                assert (await loop.sock_recv(client, 4)) == b"SSH-", "accepted when there is room"
                assert (await lab.run("echo there")).stdout == "there\n"

    async def test_a_command_that_says_less_is_dropped_at_its_end(self, lab: Lab) -> None:
        lab.faults.add(SshDropped(after_bytes=100))
        async with lab.connection() as connection:
            done = await connection.run("echo short; exit 3")
        assert (done.stdout, done.exit_status) == ("short\n", None)

    async def test_what_a_dropped_command_detached_goes_on(self, lab: Lab) -> None:
        lab.faults.add(SshDropped(after_bytes=2))
        mark = lab.machine.root.path / "root/done"
        job = f"(sleep 0.2; touch {mark}) >/dev/null 2>&1 </dev/null & echo started; sleep 600"
        async with lab.connection() as connection:
            await connection.run(job)
        until = "until [ -e /root/done ]; do sleep 0.02; done"
        await lab.run(f"cd /; {until.replace('/root/done', str(mark))}")

    async def test_a_changed_host_key_is_met_by_a_client_that_knew_the_old_one(
        self, lab: Lab
    ) -> None:
        known = lab.machine.ssh.host_key
        address = f"[{lab.machine.spec.private_ip}]:{lab.machines.ssh_port}"
        hosts = asyncssh.import_known_hosts(f"{address} {known}\n")
        async with lab.connection(hosts):
            pass
        lab.faults.add(HostKeyChanged(nth=2))
        async with lab.connection(hosts):
            pass
        with pytest.raises(asyncssh.HostKeyNotVerifiable):
            async with lab.connection(hosts):
                pass
        assert lab.machine.ssh.host_key != known
        lab.faults.clear()  # the key does not come back
        with pytest.raises(asyncssh.HostKeyNotVerifiable):
            async with lab.connection(hosts):
                pass
