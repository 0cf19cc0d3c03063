"""Room on a data disk that an armed fault has filled; without one a paper disk has no end.

``room.json`` beside the machine's root says how much each full disk has left. Pulls, ``tar -x``,
``curl -o`` and ``wget`` look at it; other programs write on.
"""

from __future__ import annotations

import json
import sys
import tarfile
from pathlib import Path
from typing import Any

from emulator.machines.paper_tools.disks import options
from emulator.machines.paper_tools.images import TABLE
from emulator.machines.paper_tools.machine import PaperRoot, write_json

MIB = 2**20
TAR_FAILED = 2


def stored_bytes(files: Path) -> int:
    """Return the catalogued sizes of all images on a disk."""
    tables = (json.loads(path.read_text()) for path in files.glob(f"*/{TABLE}"))
    return sum(int(image["size"]) for table in tables for image in table.values())


def describe(root: PaperRoot, free_mib: dict[str, int]) -> None:
    """Write ``room.json`` for the full disks, by id; remove it when there is none.

    What is on a disk that is listed already, is not counted again.
    """
    path = root.folder / "room.json"
    before = _described(root)
    rooms = {
        Path(disk["folder"]).name: before.get(Path(disk["folder"]).name)
        or {"stored": stored_bytes(Path(disk["folder"]) / "files")}
        for disk in root.facts()["disks"].values()
        if Path(disk["folder"]).name in free_mib
    }
    if rooms:
        described = {name: room | {"free_mib": free_mib[name]} for name, room in rooms.items()}
        write_json(path, described)
    else:
        path.unlink(missing_ok=True)


def room_at(root: PaperRoot, place: Path) -> int | None:
    """Return the bytes left where ``place`` is; nothing where no disk is full."""
    rooms = _described(root)
    for disk in root.facts()["disks"].values() if rooms else ():
        folder = Path(disk["folder"])
        if folder.name in rooms and place.resolve().is_relative_to(folder.resolve()):
            room = rooms[folder.name]
            since = stored_bytes(folder / "files") - int(room["stored"])
            return max(0, int(room["free_mib"]) * MIB - since)
    return None


def _described(root: PaperRoot) -> dict[str, dict[str, Any]]:
    path = root.folder / "room.json"
    rooms: dict[str, dict[str, Any]] = json.loads(path.read_text()) if path.exists() else {}
    return rooms


def paper_room(root: PaperRoot, arguments: list[str]) -> int:
    """Tell ``wrap.sh`` whether ``tar ARGUMENTS`` has room, in tar's words when not."""
    rest = arguments[1:]
    letters = rest[0] if rest else ""
    found, words = options([letters if letters.startswith("-") else f"-{letters}", *rest[1:]], "fC")
    archive = found.get("f") or found.get("file") or (words[0] if words else "")
    if "x" not in found or not archive or archive == "-":
        return 0
    target = Path(found.get("C") or found.get("directory") or ".")
    room = room_at(root, root.inside(str(target)) if target.is_absolute() else target)
    with tarfile.open(root.inside(archive) if archive.startswith("/") else archive) as members:
        for member in members if room is not None else ():
            room = (room or 0) - member.size
            if member.isfile() and room < 0:
                sys.stderr.write(f"tar: {member.name}: Cannot write: No space left on device\n")
                sys.stderr.write("tar: Exiting with failure status due to previous errors\n")
                return TAR_FAILED
    return 0
