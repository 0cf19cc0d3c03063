"""Disks and mounts: ``mkfs.ext4``, ``blkid``, ``mount``, ``umount``, ``findmnt`` and the like.

Only the options that this project and the procedure use are known; another one is an error.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

from emulator.machines.paper_tools.machine import PaperRoot, ToolError

MOUNT_FAILED = 32
NOT_FOUND = 2
FS_ERRORS_LEFT = 4


def options(arguments: list[str], valued: str) -> tuple[dict[str, str], list[str]]:
    """Split arguments into options and words.

    :param valued: the one-letter options that take a value, such as ``"iUE"``.
    """
    found: dict[str, str] = {}
    words: list[str] = []
    rest: Iterator[str] = iter(arguments)
    for argument in rest:
        if argument.startswith("--"):
            name, _, value = argument[2:].partition("=")
            found[name] = value
        elif argument.startswith("-") and len(argument) > 1:
            letters = argument[1:]
            for position, letter in enumerate(letters):
                if letter in valued:
                    found[letter] = letters[position + 1 :] or next(rest, "")
                    break
                found[letter] = ""
        else:
            words.append(argument)
    return found, words


def mkfs(root: PaperRoot, arguments: list[str]) -> int:
    found, words = options(arguments, "iUELOTmb")
    if len(words) != 1:
        raise ToolError("Usage: mkfs.ext4 [-q] [-i bytes-per-inode] [-U UUID] device")
    root.format(words[0], uuid=found.get("U") or str(uuid.uuid4()))
    return 0


def blkid(root: PaperRoot, arguments: list[str]) -> int:
    """Print TYPE or UUID of a device; exit 2, as the real one, when there is nothing to say."""
    found, words = options(arguments, "os")
    facts = root.disk(words[0]).facts()
    values = {"TYPE": facts["filesystem"], "UUID": facts["uuid"]}
    shown = {name: values[name] for name in values if found.get("s", name) == name}
    shown = {name: value for name, value in shown.items() if value}
    if not shown:
        return NOT_FOUND
    if found.get("o") == "value":
        print("\n".join(shown.values()))
    else:
        print(f"{words[0]}: " + " ".join(f'{n}="{v}"' for n, v in shown.items()))
    return 0


def mount(root: PaperRoot, arguments: list[str]) -> int:
    found, words = options(arguments, "ot")
    if "bind" in found or "bind" in found.get("o", "").split(","):
        return _bind(root, *words)
    if len(words) != 2:  # noqa: PLR2004
        raise ToolError("mount on a paper machine takes a device and a folder", 1)
    device, target = words
    disk = root.disk(device)
    if not disk.facts()["filesystem"]:
        raise ToolError(
            f"mount: {target}: wrong fs type, bad option, bad superblock on {device}, missing "
            "codepage or helper program, or other error.",
            MOUNT_FAILED,
        )
    source = root.inside(device).resolve()
    root.mount(source, root.inside(target), files=disk.files, disk=disk.folder.name)
    return 0


def _bind(root: PaperRoot, source: str, target: str) -> int:
    files = root.inside(source).resolve()
    if not files.is_dir():
        message = f"mount: {target}: special device {source} does not exist."
        raise ToolError(message, MOUNT_FAILED)
    on = next((m for m in root.mounts() if files.is_relative_to(_files(m))), None)
    disk = on["disk"] if on else ""
    shown = f"{on['source']}[/{files.relative_to(_files(on))}]" if on else str(files)
    root.mount(Path(shown), root.inside(target), files=files, disk=disk)
    return 0


def _files(entry: dict[str, str]) -> Path:
    return Path(entry["target"]).resolve()


def umount(root: PaperRoot, arguments: list[str]) -> int:
    _, words = options(arguments, "")
    for word in words:
        entry = _entry(root, word)
        if entry is None:
            raise ToolError(f"umount: {word}: not mounted.", MOUNT_FAILED)
        containerd = root.inside("/var/lib/containerd")
        if root.is_active("containerd") and containerd.resolve().is_relative_to(_files(entry)):
            raise ToolError(f"umount: {word}: target is busy.", MOUNT_FAILED)
        root.unmount(entry)
    return 0


def _entry(root: PaperRoot, word: str) -> dict[str, str] | None:
    path = str(root.inside(word))
    for entry in reversed(root.mounts()):
        if path in (entry["target"], entry["source"]):
            return entry
    return None


def mountpoint(root: PaperRoot, arguments: list[str]) -> int:
    found, words = options(arguments, "")
    path = str(root.inside(words[0]))
    is_mounted = path == str(root.path) or any(m["target"] == path for m in root.mounts())
    if "q" not in found:
        print(f"{words[0]} is {'' if is_mounted else 'not '}a mountpoint")
    return 0 if is_mounted else MOUNT_FAILED


def findmnt(root: PaperRoot, arguments: list[str]) -> int:
    """Print mounts: of a source (``-S``), at a target (word or ``-M``), or all."""
    found, words = options(arguments, "oSMT")
    source = found.get("S") or found.get("source")
    target = found.get("M") or found.get("T") or (words[0] if words else None)
    system = {"source": str(root.path / "dev/vda1"), "target": str(root.path)}
    shown = [system, *root.mounts()]
    if source:
        device = str(root.inside(source).resolve())
        shown = [m for m in shown if m["source"].partition("[")[0] == device]
    if target:
        path = str(root.inside(target)).rstrip("/")
        shown = [m for m in shown if m["target"] == path]
    columns = found.get("o", "TARGET,SOURCE").lower().split(",")
    for entry in shown:
        print(" ".join(entry.get(column, "ext4") for column in columns))
    return 0 if shown else 1


def e2fsck(root: PaperRoot, arguments: list[str]) -> int:
    found, words = options(arguments, "")
    if "n" not in found:
        raise ToolError("e2fsck on a paper machine only looks: give -n", 16)
    disk = root.disk(words[0])
    if not disk.facts()["filesystem"]:
        raise ToolError(f"e2fsck: Bad magic number in super-block while opening {words[0]}", 8)
    if any(each["disk"] == disk.folder.name for each in root.mounts()):
        print(f"Warning!  {words[0]} is mounted.")
        return FS_ERRORS_LEFT
    print(f"{words[0]}: clean")
    return 0


def fstrim(root: PaperRoot, arguments: list[str]) -> int:
    _, words = options(arguments, "")
    if mountpoint(root, ["-q", words[0]]):
        raise ToolError(f"fstrim: {words[0]}: not a mount point")
    print(f"{words[0]}: 0 B (0 bytes) trimmed")
    return 0


def fdisk(root: PaperRoot, arguments: list[str]) -> int:
    """Print what the procedure reads off: the system disk and the data disks."""
    if "-l" not in arguments:
        raise ToolError("fdisk on a paper machine only lists: fdisk -l")
    print("Disk /dev/vda: 40 GiB, 42949672960 bytes, 83886080 sectors")
    for device, disk in root.facts()["disks"].items():
        size = int(disk["size_gib"]) * 2**30
        print(f"\nDisk {device}: {disk['size_gib']} GiB, {size} bytes, {size // 512} sectors")
    return 0
