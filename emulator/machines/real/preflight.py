"""Tell what a host lacks for real machines, and what mends it.

``python -m emulator.machines.real.preflight`` prints one problem a line; exit 1 if there is any.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from emulator.machines.base import MachineError
from emulator.machines.real import cgroups
from emulator.machines.real.commands import TOOL_PATH

# Tool -> package of Debian and Ubuntu.
TOOLS = {
    "bash": "bash",
    "blkid": "util-linux",
    "containerd": "containerd",
    "cp": "coreutils",
    "curl": "curl",
    "docker-registry": "docker-registry",
    "ip": "iproute2",
    "losetup": "mount",
    "mkfs.ext4": "e2fsprogs",
    "mkfs.xfs": "xfsprogs",
    "mount": "mount",
    "nsenter": "util-linux",
    "pivot_root": "util-linux",
    "runc": "runc",
    "ssh-keygen": "openssh-client",
    "sshd": "openssh-server",
    "tar": "tar",
    "tc": "iproute2",
    "unshare": "util-linux",
}

# Bits of CapEff (linux/capability.h) that root lacks in an ordinary container.
CAPABILITIES = {12: "CAP_NET_ADMIN", 21: "CAP_SYS_ADMIN", 27: "CAP_MKNOD"}


def problems() -> Iterator[str]:
    """Return each problem with its mend; none when real machines can run."""
    if sys.platform != "linux":
        yield f"real machines need Linux, this is {sys.platform}; use --machines paper"
        return
    if os.geteuid():
        yield "real machines need root: run with sudo, or use --machines paper"
    yield from _missing_tools()
    yield from _missing_privileges()
    if not Path("/bin").is_symlink():
        yield "/bin is not a link to /usr/bin; install it: apt-get install usrmerge"
    try:
        cgroups.hierarchies()
    except MachineError as error:
        yield f"{error}: mount -t cgroup2 none /sys/fs/cgroup"


def _missing_tools() -> Iterator[str]:
    missing = [tool for tool in TOOLS if shutil.which(tool, path=TOOL_PATH) is None]
    if missing:
        packages = " ".join(sorted({TOOLS[tool] for tool in missing}))
        yield f"not installed: {', '.join(missing)}; apt-get install {packages}"


def _missing_privileges() -> Iterator[str]:
    status = Path("/proc/self/status").read_text()
    held = int(status.partition("CapEff:")[2].split()[0], 16)
    missing = [name for bit, name in CAPABILITIES.items() if not held >> bit & 1]
    if missing:
        yield f"no {', '.join(missing)}; in a container: docker run --privileged"
    if not Path("/dev/loop-control").exists():
        yield "no /dev/loop-control: modprobe loop; in a container: docker run --privileged"


def check() -> None:
    """Do nothing on a fit host.

    :raises MachineError: with every problem and its mend.
    """
    if found := list(problems()):
        raise MachineError("this host cannot run real machines:\n- " + "\n- ".join(found))


def main() -> int:
    found = list(problems())
    print(*found, sep="\n", end="\n" if found else "")  # noqa: T201  # its output
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
