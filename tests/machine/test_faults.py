"""Real machines that behave badly on demand, as containerd, sshd and ext4 take it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import asyncssh
import pytest

from emulator.clock import Clock
from emulator.faults import (
    DiskFull,
    Fault,
    Faults,
    HostKeyChanged,
    PackageMissing,
    RegistryError,
    RegistryTruncated,
    SshDropped,
    SshRefused,
)
from emulator.machines.base import NodeJoin
from emulator.machines.real import RealMachines
from tests.machine.lab import SETTINGS, Lab
from tests.machine.test_leftovers import left_behind, number_of

pytestmark = [pytest.mark.machine, pytest.mark.slow]

COREDNS = "acs/coredns"
MOUNTED = "set -e; mkfs.ext4 -q /dev/vdb; mkdir -p /mnt/d; mount /dev/vdb /mnt/d"
WITH_RUNTIME = f"""{MOUNTED}
    mkdir -p /mnt/d/containerd /var/lib/containerd
    mount --bind /mnt/d/containerd /var/lib/containerd
    systemctl start containerd"""


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
async def lab(tmp_path: Path, key: Path, faults: Faults) -> AsyncIterator[Lab]:
    """Return machines that are gone without a trace when the test ends."""
    machines = RealMachines(SETTINGS, Clock(), tmp_path / "cloud", faults=faults)
    await machines.open()
    number = number_of(machines.gateway_ip)
    try:
        yield Lab(machines, key)
    finally:
        await machines.close()
    assert left_behind(tmp_path / "cloud", number) == []


async def pull(lab: Lab, repository: str = COREDNS) -> str:
    """Pull an image; return what containerd said when that failed."""
    images = (*lab.machines.system_images(), lab.machines.workload_image())
    image = next(each for each in images if f"/{repository}:" in each)
    hosts = "--hosts-dir /etc/containerd/certs.d"
    done = await lab.try_run("i-1", f"ctr -n k8s.io images pull {hosts} {image} 2>&1 | tail -n 1")
    return done.stdout if done.stdout.startswith("ctr: ") else ""


@contextlib.asynccontextmanager
async def connection(
    lab: Lab, known_hosts: asyncssh.SSHKnownHosts | None = None
) -> AsyncIterator[asyncssh.SSHClientConnection]:
    async with asyncssh.connect(
        lab.machines.reserve_ip("i-1"),
        username="root",
        client_keys=[str(lab.key)],
        known_hosts=known_hosts,
    ) as client:
        yield client


class TestRegistry:
    @pytest.mark.parametrize(
        ("fault", "said"),
        [
            pytest.param(RegistryError(times=0), "500 Internal Server Error", id="500 for ever"),
            pytest.param(
                RegistryError(status=429, part="manifests", times=12),
                "429 Too Many Requests",
                id="429 twelve times",
            ),
            pytest.param(
                RegistryError(status=404, times=0), "from remote: not found", id="no blob"
            ),
            pytest.param(
                RegistryTruncated(times=0), "unexpected EOF", id="blob truncated for ever"
            ),
        ],
    )
    async def test_a_pull_fails_and_works_without_the_fault(
        self, lab: Lab, faults: Faults, fault: Fault, said: str
    ) -> None:
        await lab.boot("i-1")
        await lab.run("i-1", "systemctl start containerd")
        faults.add(fault)
        assert said in await pull(lab)
        faults.clear()
        assert await pull(lab) == ""

    @pytest.mark.parametrize(
        "fault",
        [
            pytest.param(RegistryError(), id="500 once"),
            pytest.param(
                RegistryError(status=429, part="manifests", times=11, retry_after_s=60),
                id="429 eleven times",
            ),
            pytest.param(RegistryTruncated(), id="blob truncated once"),
            pytest.param(RegistryError(target="acs/pause", times=0), id="another repository"),
        ],
    )
    async def test_a_pull_survives_what_containerd_tries_again(
        self, lab: Lab, faults: Faults, fault: Fault
    ) -> None:
        await lab.boot("i-1")
        await lab.run("i-1", "systemctl start containerd")
        faults.add(fault)
        assert await pull(lab) == ""
        (armed,) = faults.armed()
        assert armed.is_spent or not armed.seen

    async def test_nothing_is_before_the_registry_without_a_fault(
        self, lab: Lab, faults: Faults, tmp_path: Path
    ) -> None:
        await lab.boot("i-1")
        url = f"http://{lab.machines.registry}/v2/"
        clients = []
        for fault_id in (faults.add(RegistryError(target="another")), None):
            await lab.run("i-1", f"curl -fsS {url}")
            calls = (tmp_path / "cloud" / "registry.log").read_text().splitlines()
            clients.append(next(line.split()[0] for line in reversed(calls) if "curl/" in line))
            if fault_id:
                faults.remove(fault_id)
        assert clients[0] != lab.machines.reserve_ip("i-1")
        assert clients[1] == lab.machines.reserve_ip("i-1")


async def test_a_node_whose_package_is_missing_does_not_join_and_says_why(
    lab: Lab, faults: Faults
) -> None:
    faults.add(PackageMissing(target="/public/*", times=0))
    node = NodeJoin(
        cluster_id="c1",
        node_pool_id="np-1",
        instance_id="i-1",
        node_name="node",
        kubernetes_version="1.32.1-aliyun.1",
        runtime_version="1.6.20",
        api_server="https://unused",
        ca_pem="",
        token="",
        system_images=(),
        packages_url=lab.machines.packages_url,
        kubelet_registration_s=0.0,
    )
    machine = lab.machines.machine(lab.spec("i-1", node=node))
    await machine.start()
    async with asyncio.timeout(30):
        while not machine.failure:
            await asyncio.sleep(0.02)
    assert "The requested URL returned error: 404" in machine.failure
    assert "ack-init: cannot download kubernetes-1.32.1-aliyun.1" in machine.failure


class TestFullDisk:
    async def test_a_pull_onto_a_full_disk_fails_until_the_fault_goes(
        self, lab: Lab, faults: Faults
    ) -> None:
        await lab.boot("i-1", "d-1")
        await lab.run("i-1", WITH_RUNTIME)
        faults.add(DiskFull(target="d-1"))
        assert "no space left on device" in await pull(lab)
        tar = await lab.try_run("i-1", "tar -cf - -C /usr/share/doc . | tar -xf - -C /mnt/d")
        assert "No space left on device" in tar.stderr
        faults.clear()
        assert await pull(lab) == ""

    async def test_a_disk_is_full_as_soon_as_it_is_mounted(self, lab: Lab, faults: Faults) -> None:
        faults.add(DiskFull(target="i-1", free_mib=5))
        await lab.boot("i-1", "d-1")
        size = "$(stat -c %s /mnt/d/.disk-full)"
        filled = f"[ -s /mnt/d/.disk-full ] && was={size} && sleep 0.1 && [ $was = {size} ]"
        await lab.run("i-1", f"{MOUNTED}; until {filled}; do sleep 0.01; done")
        written = await lab.try_run("i-1", "head -c 4M /dev/zero >/mnt/d/fits")
        assert written.returncode == 0
        written = await lab.try_run("i-1", "head -c 4M /dev/zero >/mnt/d/fits-not")
        assert "No space left on device" in written.stderr

    async def test_a_disk_is_never_left_full_by_a_fault_that_went(
        self, lab: Lab, faults: Faults
    ) -> None:
        await lab.boot("i-1", "d-1")
        await lab.run("i-1", MOUNTED)
        for each in range(40):
            faults.add(DiskFull(target="d-1"))
            await asyncio.sleep(each / 1000)  # at every moment of the watcher's round
            await asyncio.to_thread(faults.clear)
        assert await lab.run("i-1", "ls -A /mnt/d") == "lost+found\n"
        faults.add(DiskFull(target="d-1"))
        again = "umount /mnt/d; mount /dev/vdb /mnt/d; until [ -s /mnt/d/.disk-full ]; do :; done"
        await lab.run("i-1", f"timeout 10 sh -c '{again}'")


class TestSsh:
    async def test_only_the_connections_that_were_named_are_refused(
        self, lab: Lab, faults: Faults
    ) -> None:
        await lab.boot("i-1")
        faults.add(SshRefused(target="i-1", nth=2))
        assert [await self._connects(lab) for _ in range(3)] == [True, False, True]

    async def _connects(self, lab: Lab) -> bool:
        try:
            async with connection(lab):
                return True
        except (OSError, asyncssh.Error):
            return False

    @pytest.mark.parametrize("after_bytes", [0, 5, 200_000])
    async def test_a_dropped_connection_has_sent_so_many_bytes(
        self, lab: Lab, faults: Faults, after_bytes: int
    ) -> None:
        await lab.boot("i-1")
        faults.add(SshDropped(nth=2, after_bytes=after_bytes))
        assert await lab.run("i-1", "echo first") == "first\n"
        command = "head -c 400000 /dev/zero | tr '\\0' x; sleep 600"
        received = b""
        async with connection(lab) as client:
            process = await client.create_process(command, encoding=None)
            with contextlib.suppress(asyncssh.ConnectionLost):
                while chunk := await process.stdout.read(4096):
                    received += chunk
            await client.wait_closed()
        assert (len(received), process.exit_status) == (after_bytes, None)
        assert await lab.run("i-1", "echo next") == "next\n"

    async def test_a_changed_host_key_is_met_by_a_client_that_knew_the_old_one(
        self, lab: Lab, faults: Faults
    ) -> None:
        await lab.boot("i-1")
        address = lab.machines.reserve_ip("i-1")
        key = await asyncssh.get_server_host_key(address)
        assert key is not None
        known = asyncssh.import_known_hosts(f"{address} {key.export_public_key().decode()}")
        faults.add(HostKeyChanged(nth=2))
        async with connection(lab, known) as before:
            with pytest.raises(asyncssh.HostKeyNotVerifiable):
                async with connection(lab, known):
                    pass
            assert (await before.run("echo there")).stdout == "there\n"
        faults.clear()
        with pytest.raises(asyncssh.HostKeyNotVerifiable):
            async with connection(lab, known):
                pass

    async def test_a_key_that_cannot_be_changed_costs_one_connection(
        self, lab: Lab, faults: Faults
    ) -> None:
        await lab.boot("i-1")
        faults.add(HostKeyChanged(nth=2))
        key = "/etc/ssh/ssh_host_ed25519_key"
        async with connection(lab) as before:
            await before.run(f"mv {key} /root/kept && mkdir {key}", check=True)
            assert not await self._connects(lab)
            await before.run(f"rmdir {key} && mv /root/kept {key}", check=True)
            assert await self._connects(lab)
