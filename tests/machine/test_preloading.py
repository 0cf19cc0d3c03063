"""The whole build on real machines: disks, containerd, pulls, snapshot, and a node made from it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ack_preload.domain.errors import ResourceFailedError
from ack_preload.hooks.history import open_store
from emulator.app import Handle, running
from tests.emulated.preloading import Build, connect, export, procedures_image_list
from tests.machine.lab import SETTINGS

pytestmark = [pytest.mark.machine, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def real_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Handle]:
    folder = tmp_path_factory.mktemp("cloud")
    with running(folder, settings=SETTINGS, machines="real") as handle:
        yield handle


@pytest.fixture
def cloud(real_cloud: Handle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Handle:
    connect(real_cloud, tmp_path / "history.db", monkeypatch)
    return real_cloud


def pulled(cloud: Handle, run: str) -> Build:
    build = Build(cloud, run)
    assert build.prepare()["device"] == "/dev/vdb"
    build.install(cloud.cloud.machines.runtime_version())
    assert build.pull()["images"] == 10
    return build


def test_the_image_list_equals_what_the_procedures_script_writes(cloud: Handle) -> None:
    made = export(cloud)
    record = open_store().lock_record(made["lock_digest"])
    assert record is not None
    (node,) = made["nodes"]  # such as cn-hangzhou.198.18.0.11
    assert record.image_list == procedures_image_list(node.partition(".")[2])
    assert len(record.image_list.splitlines()) == 9


def test_a_node_from_the_snapshot_pulls_nothing_and_holds_every_digest(cloud: Handle) -> None:
    build = pulled(cloud, "chain")
    assert build.add_package()["files"] > 0
    sealed = build.seal()
    assert sealed["images"] == 10
    assert sealed["trimmed"] is True
    build.stop()
    node = build.node_from(build.snapshot())
    assert build.prove(node) == 10
    assert build.pulls_of(node) == []


def test_a_flipped_byte_on_the_real_disk_is_found_before_the_snapshot(cloud: Handle) -> None:
    build = pulled(cloud, "tampered")
    victim = build.shell(
        "cd /mnt/ack-preload/containerd/io.containerd.content.v1.content/blobs/sha256 && "
        "f=$(ls -S | head -n 1) && echo $f && "
        "printf '\\377' | dd of=$f bs=1 seek=1000 conv=notrunc status=none"
    ).strip()
    with pytest.raises(ResourceFailedError, match=f"damaged content: {victim}"):
        build.seal()
