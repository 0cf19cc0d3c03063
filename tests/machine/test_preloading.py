"""The whole build on real machines: disks, containerd, pulls, snapshot, and a node made from it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from alibabacloud_ecs20140526.models import StartInstanceRequest

from ack_preload.domain.errors import ResourceFailedError
from ack_preload.hooks.account import Account
from ack_preload.hooks.ecs import EcsHook
from ack_preload.hooks.history import open_store
from ack_preload.hooks.registry_login import registry_logins
from ack_preload.hooks.run_key import run_key
from emulator.app import Handle, running
from emulator.machines.real.disks import DiskStore
from tests.emulated.preloading import Build, connect, export, procedures_image_list
from tests.emulated.remote_work import start_job, state
from tests.machine.lab import SETTINGS
from tests.process_watch import ProcessWatch, looking
from tests.secrets_search import Marker, files, search

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


def pulled(cloud: Handle, run: str, *, is_private: bool = False) -> Build:
    build = Build(cloud, run, is_private=is_private)
    assert build.prepare()["device"] == "/dev/vdb"
    build.install(cloud.cloud.machines.runtime_version())
    assert build.pull()["images"] == 10 + is_private
    return build


def secrets_of(build: Build) -> list[Marker]:
    """Return every secret that the build has used."""
    facts, account = build.cloud.facts, Account.get()
    (login,) = registry_logins(build.target["registry_conn_ids"]).values()
    return [
        Marker.of("AccessKey secret", facts["access_key_secret"]),
        Marker.of("registry password", login.password),
        Marker.of("registry authorization", login.basic.removeprefix("Basic ")),
        Marker.of("registry login for CRI", login.cri_auth),
        Marker.of_key(
            "key of the run", run_key(account, "build_preloaded_disk", build.run).private
        ),
        Marker.of_key("key of the nodes", Path(facts["ssh_private_key_file"]).read_text()),
    ]


def test_the_image_list_equals_what_the_procedures_script_writes(cloud: Handle) -> None:
    made = export(cloud)
    record = open_store().lock_record(made["lock_digest"])
    assert record is not None
    (node,) = made["nodes"]  # such as cn-hangzhou.198.18.0.11
    assert record.image_list == procedures_image_list(node.partition(".")[2])
    assert len(record.image_list.splitlines()) == 9


def test_a_node_from_the_snapshot_pulls_nothing_and_holds_every_digest(cloud: Handle) -> None:
    """One image is from a registry with a login: it is there, and no secret with it."""
    # All that job.sh starts; others here have this test's own environment, connections and all.
    watch = ProcessWatch("ACK_PRELOAD_PROGRESS=")
    with looking(watch.look):
        build = pulled(cloud, "chain", is_private=True)
    assert build.add_package()["files"] > 0
    sealed = build.seal()
    assert sealed["images"] == 11
    assert sealed["trimmed"] is True
    build.stop()
    snapshot_id = build.snapshot()
    node = build.node_from(snapshot_id)
    assert build.prove(node) == 11
    assert build.pulls_of(node) == []
    store: DiskStore = cloud.cloud.machines._ours.store  # type: ignore[attr-defined]  # of real ones
    raw, machine = store.snapshot(snapshot_id), store.machine(build.instance["instance_id"])
    places = [*files("snapshot", raw), *files("machine", machine), *watch.places()]
    assert search(secrets_of(build), places) == []
    # The same search finds what is there.
    there = [Marker.of(word, word) for word in ("io.containerd.content", "--unix-socket")]
    assert {each.kind for each in search(there, places)} == {"snapshot", "machine", "command line"}


def test_a_flipped_byte_on_the_real_disk_is_found_before_the_snapshot(cloud: Handle) -> None:
    build = pulled(cloud, "tampered")
    victim = build.shell(
        "cd /mnt/ack-preload/containerd/io.containerd.content.v1.content/blobs/sha256 && "
        "f=$(ls -S | head -n 1) && echo $f && "
        "printf '\\377' | dd of=$f bs=1 seek=1000 conv=notrunc status=none"
    ).strip()
    with pytest.raises(ResourceFailedError, match=f"damaged content: {victim}"):
        build.seal()


def test_over_cloud_assistant_a_pull_goes_on_after_its_machine_was_started_again(
    cloud: Handle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(cloud, tmp_path / "history.db", monkeypatch, transport="assistant")
    build = Build(cloud, "assistant")
    build.prepare()
    build.install(cloud.cloud.machines.runtime_version())
    start_job(build, "long", "sleep 600")
    build.stop()
    hook = EcsHook()
    request = StartInstanceRequest(instance_id=build.instance["instance_id"])
    hook.client.start_instance(request)
    cloud.run_until(lambda: _is_up(hook, build))
    assert state(build, "long") == "lost"
    assert build.pull()["images"] == 10
    assert build.add_package()["files"] > 0
    assert build.seal()["images"] == 10


def _is_up(hook: EcsHook, build: Build) -> bool:
    found = hook.instance(build.instance["instance_id"])
    return found is not None and found.status == "Running"
