"""Paper machines that behave badly on demand: registry, package server, a full disk."""

from __future__ import annotations

import asyncio
import http.client
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from alibabacloud_cs20151215 import models as cs

from emulator.app import Handle, running
from emulator.content.catalogue import KUBELET_PACKAGE
from emulator.faults import (
    DiskFull,
    Fault,
    PackageMissing,
    RegistryError,
    RegistryTruncated,
)
from tests.conftest import INSTANT
from tests.emulator.paper_lab import COREDNS, REMOTE, WITH_RUNTIME, Lab
from tests.emulator.sdk import cs_client


class TestRegistry:
    @pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
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
            pytest.param(
                RegistryError(status=403, part="manifests", times=0), "403 Forbidden", id="no right"
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

    async def test_a_fault_may_be_armed_while_its_machine_goes(self, lab: Lab) -> None:
        """Who arms it had it in hand before the machine went, and comes to it afterwards."""
        ended, going = threading.Event(), threading.Event()

        def held_up() -> None:
            going.set()
            assert ended.wait(10)

        await lab.machine.stop()
        lab.faults.watch(held_up)  # told before the machine is
        await lab.machine.start()
        arming = asyncio.ensure_future(asyncio.to_thread(lab.faults.add, DiskFull()))
        try:
            await asyncio.to_thread(going.wait, 10)
            await lab.machine.destroy()
        finally:
            ended.set()
        assert await arming == "f-1"
        assert not lab.machine.root.folder.exists()

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
