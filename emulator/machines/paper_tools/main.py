"""One entry for all stand-ins: ``main.py TOOL [ARGUMENT...]``, inside a paper machine."""

from __future__ import annotations

import sys
from importlib import import_module

if __name__ == "__main__":  # started by path, isolated from the environment of the emulator
    sys.path.insert(0, __file__.removesuffix("/emulator/machines/paper_tools/main.py"))

from emulator.machines.paper_tools.machine import PaperRoot, ToolError

# Tool -> module and function, imported when it runs: a script runs many tools, each a process.

# Present from the first boot; containerd and its clients are installed (or belong to a node).
BASE = {
    "mkfs.ext4": "disks:mkfs",
    "blkid": "disks:blkid",
    "mount": "disks:mount",
    "umount": "disks:umount",
    "mountpoint": "disks:mountpoint",
    "findmnt": "disks:findmnt",
    "e2fsck": "disks:e2fsck",
    "fstrim": "disks:fstrim",
    "fdisk": "disks:fdisk",
    "sync": "system:nothing",
    "udevadm": "system:nothing",
    "systemctl": "system:systemctl",
    "curl": "downloads:curl",
    "wget": "downloads:wget",
    "paper-room": "space:paper_room",
}
RUNTIME = {"containerd": "system:containerd", "ctr": "crictl:ctr", "crictl": "crictl:crictl"}
# A machine has one of the two package managers, as its distribution has.
PACKAGES = {
    "yum": {"yum": "system:yum"},
    "apt": {"apt-get": "system:apt_get", "apt-cache": "system:apt_cache"},
}
TOOLS = BASE | RUNTIME | PACKAGES["yum"] | PACKAGES["apt"]


def main(name: str, arguments: list[str]) -> int:
    module, _, function = TOOLS[name].partition(":")
    tool = getattr(import_module(f"emulator.machines.paper_tools.{module}"), function)
    try:
        return int(tool(PaperRoot.from_environment(), arguments))
    except ToolError as exc:
        sys.stderr.write(f"{exc}\n")
        return exc.code
    except OSError as exc:  # outside the machine's folder, most likely: see sandbox.py
        sys.stderr.write(f"{name}: {exc.filename}: {exc.strerror}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
