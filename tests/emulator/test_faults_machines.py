"""Paper machines that behave badly on demand: SSH, registry, package server, a full disk."""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncssh
import pytest
import requests
from alibabacloud_cs20151215 import models as cs

from emulator.app import Handle, running
from emulator.clock import Clock
from emulator.content.catalogue import KUBELET_PACKAGE
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
from emulator.kube.store import KubeStore
from emulator.machines.base import DiskAttachment, MachineSpec
from emulator.machines.paper import PaperMachines
from emulator.machines.paper_machine import PaperMachine
from emulator.settings import Settings
from tests.conftest import INSTANT
from tests.emulator.sdk import cs_client

REMOTE = Path(__file__).parents[2] / "include/ack_preload/remote"
KEY = asyncssh.generate_private_key("ssh-ed25519")
PUBLIC = KEY.export_public_key().decode()
SERIAL = "bp1c0ffee00000000001"
UUID = "4b1d0000-0000-5000-8000-000000000001"
COREDNS = "acs/coredns"
WITH_RUNTIME = """set -e; mkfs.ext4 -q /dev/vdb; mkdir -p /mnt/d; mount /dev/vdb /mnt/d
    mkdir -p /mnt/d/containerd /var/lib/containerd
    mount --bind /mnt/d/containerd /var/lib/containerd
    yum install -y containerd-1.6.20 >/dev/null; systemctl start containerd"""


class Lab:
    """One paper machine with a data disk, and ways to reach it."""

    def __init__(self, machines: PaperMachines, machine: PaperMachine, faults: Faults) -> None:
        self.machines, self.machine, self.faults = machines, machine, faults

    @contextlib.asynccontextmanager
    async def connection(
        self, known_hosts: asyncssh.SSHKnownHosts | None = None
    ) -> AsyncIterator[asyncssh.SSHClientConnection]:
        async with asyncssh.connect(
            self.machine.spec.private_ip,
            self.machines.ssh_port,
            username="root",
            client_keys=[KEY],
            known_hosts=known_hosts,
        ) as connection:
            yield connection

    async def run(self, command: str, stdin: str = "") -> asyncssh.SSHCompletedProcess:
        async with self.connection() as connection:
            return await connection.run(command, input=stdin)

    async def pull(self, image: str = "") -> str:
        """Pull an image, and return what was said when that fails."""
        done = await self.run(f"crictl pull {image or self.image(COREDNS)}")
        return str(done.stderr).strip() if done.exit_status else ""

    def image(self, repository: str) -> str:
        images = (*self.machines.system_images(), self.machines.workload_image())
        return next(each for each in images if f"/{repository}:" in each)

    def get(self, path: str) -> requests.Response:
        return requests.get(f"{self.machines.packages_url}{path}", timeout=30)

    def digest(self) -> str:
        tag = self.image(COREDNS).rpartition(":")[2]
        return self.get(f"/v2/{COREDNS}/manifests/{tag}").headers["Docker-Content-Digest"]


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    clock, faults = Clock(), Faults()
    machines = PaperMachines(Settings(), clock, KubeStore(clock), tmp_path, faults)
    await machines.open()
    await machines.create_disk("d-1", 40)
    spec = MachineSpec(
        machine_id="i-1",
        name="builder",
        hostname="builder",
        private_ip=machines.reserve_ip("i-1"),
        authorized_keys=(PUBLIC,),
        disks=(DiskAttachment("d-1", "/dev/vdb", SERIAL, 40),),
    )
    machine = machines.machine(spec)
    await machine.start()
    yield Lab(machines, machine, faults)
    await machines.close()


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


class TestRegistry:
    @pytest.mark.parametrize("status", [401, 404, 429, 500, 503])
    @pytest.mark.parametrize("part", ["manifests", "blobs"])
    async def test_an_error_is_answered_once_and_for_its_part_only(
        self, lab: Lab, status: int, part: str
    ) -> None:
        fault = RegistryError(target=COREDNS, status=status, part=part, retry_after_s=7)  # type: ignore[arg-type]
        lab.faults.add(fault)
        other = "manifests" if part == "blobs" else "blobs"
        assert "NOT_FOUND" in lab.get(f"/v2/{COREDNS}/{other}/nothing").text
        refused = lab.get(f"/v2/{COREDNS}/{part}/nothing")
        assert (refused.status_code, refused.headers["Retry-After"]) == (status, "7")
        assert "an armed fault" in refused.text
        assert ("WWW-Authenticate" in refused.headers) == (status == 401)
        assert "NOT_FOUND" in lab.get(f"/v2/{COREDNS}/{part}/nothing").text

    @pytest.mark.parametrize(
        ("fault", "said"),
        [
            pytest.param(RegistryError(times=0), "500 Internal Server Error", id="500"),
            pytest.param(
                RegistryError(status=503, times=2), "503 Service Unavailable", id="503 twice"
            ),
            pytest.param(
                RegistryError(status=429, times=12), "429 Too Many Requests", id="429 twelve times"
            ),
            pytest.param(
                RegistryError(status=404, part="manifests", times=0),
                "code = NotFound",
                id="no manifest",
            ),
            pytest.param(
                RegistryError(status=401, part="manifests", times=0),
                "401 Unauthorized",
                id="no login",
            ),
            pytest.param(RegistryTruncated(times=0), "unexpected EOF", id="truncated for ever"),
        ],
    )
    async def test_a_pull_fails_in_containerds_words_and_works_without_the_fault(
        self, lab: Lab, fault: Fault, said: str
    ) -> None:
        await lab.run(WITH_RUNTIME)
        lab.faults.add(fault)
        refused = await lab.pull()
        assert said in refused
        assert refused.startswith("FATA[0000] pulling image: rpc error: code = ")
        assert (await lab.run("crictl images -q")).stdout == ""
        lab.faults.clear()
        assert await lab.pull() == ""

    @pytest.mark.parametrize(
        "fault",
        [
            pytest.param(RegistryError(), id="500 once"),
            pytest.param(RegistryError(status=429, times=11), id="429 eleven times"),
            pytest.param(RegistryTruncated(), id="truncated once"),
        ],
    )
    async def test_a_pull_survives_what_containerd_tries_again(
        self, lab: Lab, fault: Fault
    ) -> None:
        await lab.run(WITH_RUNTIME)
        lab.faults.add(fault)
        assert await lab.pull() == ""
        assert lab.faults.armed()[0].is_spent

    async def test_only_the_repository_that_was_named_fails(self, lab: Lab) -> None:
        await lab.run(WITH_RUNTIME)
        lab.faults.add(RegistryError(target=COREDNS, times=0))
        assert await lab.pull(lab.machines.workload_image()) == ""
        assert "500" in await lab.pull()

    async def test_a_truncated_blob_ends_under_its_full_length(self, lab: Lab) -> None:
        layers = lab.get(f"/v2/{COREDNS}/manifests/{lab.digest()}").json()["layers"]
        path = f"/v2/{COREDNS}/blobs/{layers[0]['digest']}"
        whole = lab.get(path).content
        lab.faults.add(RegistryTruncated(percent=50))
        connection = http.client.HTTPConnection(lab.machines.registry)
        connection.request("GET", path)
        answer = connection.getresponse()
        with pytest.raises(http.client.IncompleteRead) as cut:
            answer.read()
        assert int(answer.headers["Content-Length"]) == len(whole)
        assert cut.value.partial == whole[: len(whole) // 2]
        assert lab.get(path).content == whole

    async def test_our_script_tries_a_pull_again_and_tells_of_both(self, lab: Lab) -> None:
        await lab.run(WITH_RUNTIME)
        lab.faults.add(RegistryError(target=COREDNS, times=2))
        lock = f"{lab.digest()} 1 {lab.image(COREDNS)}\n"
        done = await lab.run(f"bash {REMOTE}/pull_images.sh 1 2", lock)
        assert done.exit_status == 0
        assert "attempt 1 failed" in str(done.stderr)
        assert "500 Internal Server Error" in str(done.stderr)


class TestPackages:
    @pytest.mark.parametrize("status", [404, 500, 503])
    async def test_a_download_fails_once(self, lab: Lab, status: int) -> None:
        lab.faults.add(PackageMissing(target="/public/*", status=status))  # type: ignore[arg-type]
        command = f"curl -fsS -o /root/x {lab.machines.packages_url}/{KUBELET_PACKAGE}"
        done = await lab.run(command)
        assert str(status) in str(done.stderr)
        assert done.exit_status == 22
        assert (await lab.run(command)).exit_status == 0

    async def test_another_path_is_served(self, lab: Lab) -> None:
        lab.faults.add(PackageMissing(target="/public/pkg/other/*", times=0))
        assert lab.get(f"/{KUBELET_PACKAGE}").status_code == 200

    async def test_our_script_says_where_it_could_not_download(self, lab: Lab) -> None:
        await lab.run(WITH_RUNTIME)
        version = KUBELET_PACKAGE.partition("kubernetes-")[2].removesuffix("-linux-amd64.tar.gz")
        lab.faults.add(PackageMissing(status=503))
        call = f"{lab.machines.packages_url} {version} amd64 /mnt/d"
        done = await lab.run(f"bash {REMOTE}/kubelet_package.sh {call}")
        assert done.exit_status == 0
        assert "returned error: 503" in str(done.stderr)
        assert "attempt 1 of 4 failed" in str(done.stderr)


class TestFullDisk:
    @pytest.mark.parametrize("target", ["d-1", "i-1", "builder"], ids=["disk", "id", "name"])
    async def test_a_pull_onto_a_full_disk_fails(self, lab: Lab, target: str) -> None:
        await lab.run(WITH_RUNTIME)
        fault_id = lab.faults.add(DiskFull(target=target))
        assert (await lab.pull()).endswith("no space left on device")
        lab.faults.remove(fault_id)
        assert await lab.pull() == ""

    async def test_what_fits_in_the_room_that_is_left_is_pulled(self, lab: Lab) -> None:
        await lab.run(WITH_RUNTIME)
        lab.faults.add(DiskFull(free_mib=40))
        assert await lab.pull() == ""  # 29 MB
        assert "no space left" in await lab.pull(lab.machines.workload_image())

    async def test_a_disk_that_is_full_before_the_machine_starts_stays_full(self, lab: Lab) -> None:
        await lab.machine.stop()
        lab.faults.add(DiskFull(target="d-1"))
        await lab.machine.start()
        await lab.run(WITH_RUNTIME)
        assert "no space left" in await lab.pull()

    async def test_the_system_disk_has_room_all_the_same(self, lab: Lab) -> None:
        await lab.run("yum install -y containerd >/dev/null; systemctl start containerd")
        lab.faults.add(DiskFull())
        assert await lab.pull() == ""

    async def test_an_archive_does_not_fit(self, lab: Lab) -> None:
        await lab.run(WITH_RUNTIME)
        await lab.run(f"curl -fsS -o /root/x {lab.machines.packages_url}/{KUBELET_PACKAGE}")
        lab.faults.add(DiskFull())
        done = await lab.run("tar -xzf /root/x -C /mnt/d --no-same-owner")
        assert done.exit_status == 2
        assert "Cannot write: No space left on device" in str(done.stderr)
        assert (await lab.run("tar -xzf /root/x -C /root")).exit_status == 0

    async def test_our_script_reports_a_download_that_does_not_fit(self, lab: Lab) -> None:
        await lab.run(WITH_RUNTIME)
        lab.faults.add(DiskFull())
        command = f"curl -fsS -o /mnt/d/x {lab.machines.packages_url}/{KUBELET_PACKAGE}"
        done = await lab.run(command)
        assert (done.exit_status, "(23)" in str(done.stderr)) == (23, True)


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Handle]:
    with running(tmp_path / "cloud", settings=INSTANT, seed="demo") as handle:
        yield handle


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        pytest.param(PackageMissing(times=0), "returned error: 404", id="no package"),
        pytest.param(RegistryError(times=0), "500 Internal Server Error", id="registry 500"),
        pytest.param(DiskFull(), "no space left on device", id="disk full"),
    ],
)
def test_a_node_that_cannot_join_says_why_at_once(cloud: Handle, fault: Fault, said: str) -> None:
    cloud.faults.add(fault)
    facts, client = cloud.facts, cs_client(cloud.facts)
    group = {
        "vswitch_ids": [facts["vswitch_id"]],
        "instance_types": [facts["instance_type"]],
        "instance_charge_type": "PostPaid",
        "data_disks": [{"category": "cloud_essd", "size": 40}],
        "desired_size": 1,
    }
    order = {"nodepool_info": {"name": "ill"}, "scaling_group": group}
    request = cs.CreateClusterNodePoolRequest().from_map(order)
    pool_id = client.create_cluster_node_pool(facts["cluster_id"], request).body.nodepool_id

    def errors() -> list[str]:
        request = cs.DescribeClusterNodesRequest(nodepool_id=pool_id)
        found = client.describe_cluster_nodes(facts["cluster_id"], request).body.nodes
        return [node.error_message for node in found if node.error_message]

    cloud.run_until(lambda: bool(errors()), within_s=60)
    assert said in errors()[0]
