"""Exporting the image list of live nodes, and proving images on a node."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from ack_preload.domain.errors import (
    ImageProofError,
    InvalidInputError,
    NodeUnreachableError,
    PreloadError,
    ResourceFailedError,
)
from ack_preload.domain.images import ImageLock, LockedImage
from ack_preload.hooks.history import open_store
from ack_preload.operators.node_pool import ApplyNodePoolOperator
from ack_preload.operators.prove_images import ProveImagesOperator
from ack_preload.store import Run
from emulator.app import Handle
from emulator.machines.paper_tools.images import TABLE
from tests.emulated.driving import perform, target
from tests.emulated.preloading import (
    connect,
    export,
    procedures_image_list,
    ssh_connection,
    workload,
)


@pytest.fixture(autouse=True)
def _connections(cloud: Handle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect(cloud, tmp_path / "history.db", monkeypatch)


def node(cloud: Handle) -> Any:
    """Return the paper machine of the seeded node."""
    (machine,) = cloud.cloud.machines._machines.values()  # type: ignore[attr-defined]  # paper's own
    return machine


def change_images(cloud: Handle, change: Any) -> None:
    path = node(cloud).root.path / "var/lib/containerd" / TABLE
    images = json.loads(path.read_text())
    change(images)
    path.write_text(json.dumps(images))


def test_the_image_list_equals_what_the_procedures_script_writes(cloud: Handle) -> None:
    made = export(cloud)
    record = open_store().lock_record(made["lock_digest"])
    assert record is not None
    theirs = procedures_image_list(node(cloud).spec.private_ip)
    assert record.image_list == theirs
    assert len(theirs.splitlines()) == 9


def test_the_lock_has_every_image_by_digest_and_the_workload(cloud: Handle) -> None:
    made = export(cloud)
    lock = open_store().lock(made["lock_digest"])
    assert lock is not None
    assert made["images"] == len(lock.images) == 10
    assert workload(cloud) in {image.reference for image in lock.images}
    assert made["nodes"] == [node(cloud).spec.node.node_name]


def test_a_second_export_is_the_same_lock(cloud: Handle) -> None:
    assert export(cloud)["lock_digest"] == export(cloud)["lock_digest"]


def test_a_workload_image_may_be_given_by_digest(cloud: Handle) -> None:
    store = open_store()
    first = store.lock(export(cloud)["lock_digest"])
    assert first is not None
    locked = next(i for i in first.images if i.reference == workload(cloud))
    pinned = f"{workload(cloud)}@{locked.digest}"
    again = export(cloud, workload_images=[pinned])
    assert again["lock_digest"] == first.digest


@pytest.mark.parametrize(
    ("suffix", "said"),
    [
        (":no-such-tag", "there is no such image; correct it in the target"),
        ("@sha256:" + "0" * 64, "there is no such image; correct it in the target"),
    ],
)
def test_a_workload_image_that_is_not_there_is_named(cloud: Handle, suffix: str, said: str) -> None:
    repository = workload(cloud).rpartition(":")[0]
    with pytest.raises(InvalidInputError, match=said):
        export(cloud, workload_images=[repository + suffix])


def test_a_dangling_image_is_in_the_lock_and_not_in_the_list(cloud: Handle) -> None:
    pause = f"{cloud.facts['registry']}/acs/pause"

    def untag(images: Any) -> None:
        for facts in images.values():
            facts["names"] = [name for name in facts["names"] if name != f"{pause}:3.9"]

    change_images(cloud, untag)
    record = open_store().lock_record(export(cloud)["lock_digest"])
    assert record is not None
    assert "acs/pause" not in record.image_list
    references = {image.reference for image in ImageLock.from_json(record.content).images}
    assert pause in references
    assert f"{pause}:<none>\n" in procedures_image_list(node(cloud).spec.private_ip)


def test_an_imported_image_is_resolved_by_the_registry(cloud: Handle) -> None:
    def forget_digests(images: Any) -> None:
        for facts in images.values():
            facts["names"] = [name for name in facts["names"] if "@" not in name]

    before = export(cloud)
    change_images(cloud, forget_digests)
    assert export(cloud)["lock_digest"] == before["lock_digest"]


def test_an_empty_list_is_an_error(cloud: Handle) -> None:
    change_images(cloud, dict.clear)
    with pytest.raises(InvalidInputError, match="target demo: the image list is empty"):
        export(cloud, workload_images=[])


def test_a_pool_without_a_ready_node_is_an_error(cloud: Handle) -> None:
    empty = perform(
        ApplyNodePoolOperator(
            task_id="pool", target=target(cloud), pool_name="empty", snapshot_id=""
        )
    )
    source = {"node_pool_id": empty["node_pool_id"], "nodes": 1}
    with pytest.raises(ResourceFailedError, match=r"has no Ready node to read \(no nodes at all"):
        export(cloud, source=source)


def test_a_pool_that_is_not_there_is_an_error(cloud: Handle) -> None:
    with pytest.raises(PreloadError, match="np0"):
        export(cloud, source={"node_pool_id": "np0", "nodes": 1})


def test_a_node_that_does_not_know_our_key_is_named_with_the_mend(
    cloud: Handle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    foreign = tmp_path / "foreign.pem"
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(foreign)
    facts = {**cloud.facts, "ssh_private_key_file": str(foreign)}
    monkeypatch.setenv("AIRFLOW_CONN_ACK_PRELOAD_SSH", ssh_connection(facts))
    where = f"root@{node(cloud).spec.private_ip}:{cloud.facts['ssh_port']}"
    with pytest.raises(NodeUnreachableError, match=rf"{where} .*does not take the key") as caught:
        export(cloud)
    assert "PRIVATE" not in str(caught.value)


def test_a_node_whose_host_key_is_not_known_is_refused(
    cloud: Handle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = tmp_path / "known_hosts"
    known.write_text("")
    strict = json.loads(ssh_connection(cloud.facts))
    strict["extra"]["known_hosts"] = str(known)
    monkeypatch.setenv("AIRFLOW_CONN_ACK_PRELOAD_SSH", json.dumps(strict))
    with pytest.raises(NodeUnreachableError, match="mend host_key or known_hosts"):
        export(cloud)


def prove(cloud: Handle, lock_digest: str) -> Any:
    spec = node(cloud).spec
    nodes = [{"private_ip": spec.private_ip, "instance_id": spec.machine_id}]
    return perform(ProveImagesOperator(task_id="prove", nodes=nodes, lock_digest=lock_digest))


def test_a_node_that_has_it_all_is_proven(cloud: Handle) -> None:
    lock_digest = export(cloud, workload_images=[])["lock_digest"]
    assert prove(cloud, lock_digest)["images_verified"] == 9


def test_a_missing_image_is_named(cloud: Handle) -> None:
    lock_digest = export(cloud)["lock_digest"]
    with pytest.raises(ImageProofError, match=r"lacks 1 of 10 .*ac2/qwen.* is not there"):
        prove(cloud, lock_digest)


def test_a_wrong_digest_under_a_right_tag_is_named(cloud: Handle) -> None:
    lock = open_store().lock(export(cloud, workload_images=[])["lock_digest"])
    assert lock is not None
    coredns, *others = lock.images
    swapped = LockedImage(coredns.reference, others[0].digest)
    wrong = ImageLock((swapped, *others), lock.platform)
    open_store().put_lock(wrong, "", target="demo", run=Run("d", "r"))
    with pytest.raises(ImageProofError, match=rf"means {coredns.digest}, not {swapped.digest}"):
        prove(cloud, wrong.digest)


def test_a_lock_that_is_not_in_the_history_is_refused(cloud: Handle) -> None:
    with pytest.raises(InvalidInputError, match="run export_image_list first"):
        prove(cloud, "sha256:" + "0" * 64)
