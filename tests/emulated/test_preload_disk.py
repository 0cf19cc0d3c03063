"""The build on paper machines: real SSH, real bash, the real scripts."""

from __future__ import annotations

from pathlib import Path

import pytest

from ack_preload.domain.errors import InvalidInputError, RemoteJobError, ResourceFailedError
from ack_preload.hooks.history import open_store
from ack_preload.operators import preload_disk as disk
from emulator.app import Handle
from emulator.faults import RegistryError
from tests.emulated.driving import context, deferred_by, fired, perform
from tests.emulated.preloading import Build, connect, export, private_connection, workload

pytestmark = pytest.mark.slow  # every step is a few SSH connections


@pytest.fixture
def build(cloud: Handle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    connect(cloud, tmp_path / "history.db", monkeypatch)
    return Build(cloud)


@pytest.fixture
def private_build(cloud: Handle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    """Return a build that is ready to pull, one image from a registry with a login."""
    connect(cloud, tmp_path / "history.db", monkeypatch)
    made = Build(cloud, is_private=True)
    made.prepare()
    made.install()
    return made


def blobs(build: Build) -> list[Path]:
    return sorted(build.paper.root.path.glob("var/lib/containerd/*content*/blobs/sha256/*"))


def test_a_disk_is_prepared_filled_and_sealed(build: Build) -> None:
    prepared = build.prepare()
    assert prepared["device"] == "/dev/vdb"
    assert prepared["filesystem"] == "made"
    assert prepared["host_key"] == build.paper.ssh.host_key
    assert build.install() == {"version": "1.6.20", "installed": True}
    assert build.pull()["images"] == 10
    assert build.add_package()["files"] == 3
    assert build.seal()["images"] == 10
    assert build.paper.root.mounts() == []
    assert not build.paper.root.is_active("containerd")


def test_a_node_from_the_snapshot_holds_every_image_by_digest(private_build: Build) -> None:
    build = private_build
    build.pull()
    build.add_package()
    build.seal()
    build.stop()
    node = build.node_from(build.snapshot())
    assert build.prove(node) == 11
    assert build.pulls_of(node) == []


def test_a_login_that_a_registry_refuses_is_named_and_not_tried_again(
    private_build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The password is changed between locking the images and pulling them."""
    registry = private_build.cloud.facts["private_registry"]
    wrong = private_connection(private_build.cloud.facts, password="wr0ng-password")
    monkeypatch.setenv("AIRFLOW_CONN_TEAM_REGISTRY", wrong)
    with pytest.raises(InvalidInputError) as caught:
        private_build.pull()
    assert f"registry {registry} refuses the login" in str(caught.value)
    assert f"{registry} from team_registry" in str(caught.value)
    assert "wr0ng-password" not in str(caught.value)
    right = private_connection(private_build.cloud.facts)
    monkeypatch.setenv("AIRFLOW_CONN_TEAM_REGISTRY", right)
    fault = RegistryError(target="team/*", status=403, part="manifests", times=0)
    private_build.cloud.faults.add(fault)
    with pytest.raises(InvalidInputError, match=r"refuses the login .* 403 Forbidden"):
        private_build.pull()
    private_build.target["registry_conn_ids"] = []
    private_build.cloud.faults.clear()
    with pytest.raises(InvalidInputError, match=rf"(?s){registry} wants a login, .* target: none"):
        private_build.pull()


def test_a_private_image_without_a_login_is_refused_before_anything_is_made(build: Build) -> None:
    with pytest.raises(
        InvalidInputError, match=r"wants a login .* registry_conn_ids of the target"
    ):
        export(build.cloud, workload_images=[build.cloud.facts["private_image"]])


def test_a_second_try_waits_for_the_job_of_the_first(build: Build) -> None:
    build.prepare()
    build.install()
    first = deferred_by(build.pulling())
    second = deferred_by(build.pulling(), context(try_number=2))
    assert first.trigger.subject["job"] == second.trigger.subject["job"]
    assert first.trigger.subject["owner"] != second.trigger.subject["owner"]
    assert fired(second)["verdict"] == "done"
    log = (build.paper.root.path / "var/lib/ack-preload/jobs").glob("pull_images-*/stderr")
    assert "\n".join(p.read_text() for p in log).count("images, 3 at a time") == 1


def test_an_image_that_is_not_there_fails_the_pull_with_containerds_words(build: Build) -> None:
    build.prepare()
    build.install()
    catalogue = build.cloud.cloud.machines._ground.catalogue  # type: ignore[attr-defined]  # paper's own
    catalogue.write_text(catalogue.read_text().replace("acs/coredns", "acs/gone"))
    with pytest.raises(ResourceFailedError, match=r"acs/coredns.*code = NotFound"):
        perform(build.pulling())


def test_a_registry_that_is_down_may_be_tried_again(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "ATTEMPTS", 1)
    build.prepare()
    build.install()
    catalogue = build.cloud.cloud.machines._ground.catalogue  # type: ignore[attr-defined]  # paper's own
    away = catalogue.rename(catalogue.with_suffix(".away"))
    with pytest.raises(RemoteJobError, match="connection refused"):
        perform(build.pulling())
    away.rename(catalogue)
    assert perform(build.pulling(), context(try_number=2))["images"] == 10


def test_another_version_of_containerd_is_refused(build: Build) -> None:
    build.prepare()
    with pytest.raises(ResourceFailedError, match=r"no package repository .* has containerd 1\.7"):
        build.install("1.7.2")


def test_a_flipped_byte_is_found_before_the_snapshot(build: Build) -> None:
    build.prepare()
    build.install()
    build.pull()
    victim = blobs(build)[0]
    victim.write_bytes(b"X" + victim.read_bytes()[1:])
    with pytest.raises(ResourceFailedError, match=f"damaged content: {victim.name}"):
        build.seal()


def test_a_missing_image_is_found_before_the_snapshot(build: Build) -> None:
    build.prepare()
    build.install()
    lock = open_store().lock(build.lock_digest)
    assert lock is not None
    with pytest.raises(ResourceFailedError, match=r"20 names of the lock are missing"):
        build.seal()


def test_progress_is_part_of_the_event(build: Build) -> None:
    build.prepare()
    build.install()
    done = fired(deferred_by(build.pulling()))
    lock = open_store().lock(build.lock_digest)
    assert lock is not None
    total = sum(image.size_bytes for image in lock.images)
    assert done["detail"]["progress"] == {"done": 10, "of": 10, "bytes": total}


def test_the_workload_image_is_locked_by_the_registrys_digest(build: Build) -> None:
    lock = open_store().lock(build.lock_digest)
    assert lock is not None
    found = next(image for image in lock.images if image.reference == workload(build.cloud))
    assert found.size_bytes > 0
