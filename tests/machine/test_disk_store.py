"""Disks, snapshots, and disks from snapshots."""

from __future__ import annotations

from pathlib import Path

import pytest

from emulator.machines.base import MachineError
from emulator.machines.real.disks import GIB, DiskStore

pytestmark = [pytest.mark.machine]


@pytest.fixture
def store(tmp_path: Path):  # type: ignore[no-untyped-def]  # a generator fixture
    store = DiskStore(tmp_path / "store")
    store.open()
    yield store
    store.close()


def test_a_snapshot_keeps_what_was_on_the_disk_when_it_was_taken(store: DiskStore) -> None:
    store.create_disk("d-1", 1, None)
    write(store.disk("d-1"), b"before")
    store.create_snapshot("s-1", "d-1")
    write(store.disk("d-1"), b"after.")
    store.create_disk("d-2", 1, "s-1")
    assert read(store.disk("d-2"), 6) == b"before"


def test_a_snapshot_reports_the_bytes_that_it_holds(store: DiskStore) -> None:
    store.create_disk("d-1", 40, None)
    write(store.disk("d-1"), bytes(range(256)) * 4096)
    assert (1 << 20) <= store.create_snapshot("s-1", "d-1") < (2 << 20)


def test_a_clone_of_a_large_disk_shares_its_blocks(store: DiskStore) -> None:
    assert store.shares_blocks


def test_a_disk_may_be_larger_than_its_snapshot_but_not_smaller(store: DiskStore) -> None:
    store.create_disk("d-1", 2, None)
    store.create_snapshot("s-1", "d-1")
    store.create_disk("d-2", 3, "s-1")
    assert store.disk("d-2").stat().st_size == 3 * GIB
    with pytest.raises(MachineError, match="smaller than snapshot s-1; ask for 2 GiB or more"):
        store.create_disk("d-3", 1, "s-1")


def test_deleting_a_disk_leaves_its_snapshot(store: DiskStore) -> None:
    store.create_disk("d-1", 1, None)
    write(store.disk("d-1"), b"kept")
    store.create_snapshot("s-1", "d-1")
    store.delete_disk("d-1")
    assert read(store.snapshot("s-1"), 4) == b"kept"


@pytest.mark.parametrize("name", ["", "../d-1", "d 1", "-d", "a/b"])
def test_a_name_that_could_leave_the_store_is_refused(store: DiskStore, name: str) -> None:
    with pytest.raises(MachineError, match="is not an id"):
        store.create_disk(name, 1, None)


def test_what_does_not_exist_is_named(store: DiskStore) -> None:
    with pytest.raises(MachineError, match="disk d-9 does not exist"):
        store.create_snapshot("s-1", "d-9")
    with pytest.raises(MachineError, match="snapshot s-9 does not exist"):
        store.delete_snapshot("s-9")


def test_without_xfs_clones_are_copies_and_sparse(tmp_path: Path) -> None:
    store = DiskStore(tmp_path / "store")
    store.folder.mkdir(parents=True)
    store.make_folders()
    store.create_disk("d-1", 5, None)
    write(store.disk("d-1"), b"copied")
    assert store.create_snapshot("s-1", "d-1") < GIB
    assert read(store.snapshot("s-1"), 6) == b"copied"


def write(file: Path, data: bytes) -> None:
    with file.open("r+b") as stream:
        stream.write(data)


def read(file: Path, size: int) -> bytes:
    with file.open("rb") as stream:
        return stream.read(size)
