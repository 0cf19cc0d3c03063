"""What a paper machine is to its tools: a folder as root directory, disks, and a mount table."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT_VARIABLE = "ACK_PRELOAD_ROOT"


class ToolError(Exception):
    """A tool fails as the real one would: this message on stderr, this exit code."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class PaperDisk:
    """A disk: a folder with ``disk.json`` (its file system) and ``files`` (its contents)."""

    folder: Path

    @property
    def files(self) -> Path:
        return self.folder / "files"

    def facts(self) -> dict[str, Any]:
        facts: dict[str, Any] = json.loads((self.folder / "disk.json").read_text())
        return facts

    def update(self, **changes: Any) -> None:
        write_json(self.folder / "disk.json", self.facts() | changes)

    @classmethod
    def create(cls, folder: Path, size_gib: int) -> PaperDisk:
        (folder / "files").mkdir(parents=True)
        write_json(folder / "disk.json", {"size_gib": size_gib, "filesystem": "", "uuid": ""})
        return cls(folder)


@dataclass(frozen=True, slots=True)
class PaperRoot:
    """The folder of one machine; ``path`` is what its scripts see as ``/``."""

    path: Path

    @classmethod
    def from_environment(cls) -> PaperRoot:
        return cls(Path(os.environ[ROOT_VARIABLE]))

    @property
    def folder(self) -> Path:
        return self.path.parent

    def facts(self) -> dict[str, Any]:
        """Return ``machine.json``: hostname, disks by device, runtime version, registry."""
        facts: dict[str, Any] = json.loads((self.folder / "machine.json").read_text())
        return facts

    def inside(self, path: str) -> Path:
        """Return where ``path`` is on the host, whether or not it names the root already."""
        if path == str(self.path) or path.startswith((f"{self.path}/", self._storage)):
            return Path(path)
        return self.path / path.lstrip("/")

    @property
    def _storage(self) -> str:
        return f"{self.folder.parent.parent}/disks/"

    def shown(self, path: Path) -> str:
        """Return ``path`` as the machine's own tools print it: with the prefix of its root."""
        return str(path)

    def disk(self, device: str) -> PaperDisk:
        """Return the disk behind a device file, links followed.

        :raises ToolError: when the machine has no such device.
        """
        path = self.inside(device)
        name = path.resolve().name if path.exists() else ""
        for known, disk in self.facts()["disks"].items():
            if known == f"/dev/{name}" and path.resolve().parent == (self.path / "dev").resolve():
                return PaperDisk(Path(disk["folder"]))
        raise ToolError(f"{device}: No such file or directory", 2)

    # -- the mount table

    def mounts(self) -> list[dict[str, str]]:
        """Return the mounts, oldest first: source, target, and the disk they lie on."""
        path = self.folder / "mounts.json"
        mounts: list[dict[str, str]] = json.loads(path.read_text()) if path.exists() else []
        return mounts

    def mount(self, source: Path, target: Path, *, files: Path, disk: str) -> None:
        """Show ``files`` at ``target``: the folder there steps aside for a link."""
        if target.is_symlink() or not target.is_dir():
            raise ToolError(f"mount: {target}: mount point does not exist or is in use.", 32)
        mounts = self.mounts()
        aside = self.folder / "under" / str(len(mounts))
        aside.parent.mkdir(exist_ok=True)
        entry = {"source": str(source), "target": str(target), "disk": disk, "under": str(aside)}
        write_json(self.folder / "mounts.json", [*mounts, entry])
        target.rename(aside)
        target.symlink_to(files.resolve())

    def unmount(self, entry: dict[str, str]) -> None:
        target = Path(entry["target"])
        if target.is_symlink():
            target.unlink()
        if Path(entry["under"]).exists():
            Path(entry["under"]).rename(target)
        left = [each for each in self.mounts() if each != entry]
        write_json(self.folder / "mounts.json", left)

    def unmount_all(self) -> None:
        for entry in reversed(self.mounts()):
            self.unmount(entry)

    def forget_mounts(self) -> None:
        """Unmount all of a machine that is about to be removed with its mount points."""
        (self.folder / "mounts.json").unlink(missing_ok=True)

    # -- services

    def is_active(self, unit: str) -> bool:
        return (self.path / "run" / f"{unit}.active").exists()

    def set_active(self, unit: str, active: bool) -> None:
        marker = self.path / "run" / f"{unit}.active"
        marker.parent.mkdir(exist_ok=True)
        if active:
            marker.touch()
        else:
            marker.unlink(missing_ok=True)

    def format(self, device: str, *, uuid: str) -> None:
        """Make an empty ext4 file system.

        :raises ToolError: when the disk is mounted.
        """
        disk = self.disk(device)
        if any(each["disk"] == disk.folder.name for each in self.mounts()):
            raise ToolError(f"{device} is mounted; will not make a filesystem here!", 1)
        shutil.rmtree(disk.files)
        (disk.files / "lost+found").mkdir(parents=True)
        disk.update(filesystem="ext4", uuid=uuid)


def write_json(path: Path, value: Any) -> None:
    """Replace a file in one step, so that a reader never meets half of it."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.write_text(json.dumps(value, indent=1))
    new.replace(path)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file: tools of one machine run in parallel."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
