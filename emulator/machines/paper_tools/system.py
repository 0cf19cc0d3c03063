"""Services and packages: ``systemctl``, ``containerd``, ``yum``, ``apt-get``."""

from __future__ import annotations

import re
from pathlib import Path

from emulator.machines.paper_tools.disks import options
from emulator.machines.paper_tools.machine import PaperRoot, ToolError

UNITS = ("containerd", "sshd", "kubelet")
IS_DOWN = 3
NO_SUCH_UNIT = 5


def systemctl(root: PaperRoot, arguments: list[str]) -> int:
    found, words = options(arguments, "")
    if not words or words[0] == "daemon-reload":
        return 0
    command, units = words[0], [word.removesuffix(".service") for word in words[1:]]
    for unit in units if command != "is-active" else ():
        if unit not in UNITS or (unit == "containerd" and not _has_containerd(root)):
            raise ToolError(
                f"Failed to {command} {unit}.service: Unit {unit}.service not found.", NO_SUCH_UNIT
            )
    match command:
        case "start" | "restart":
            _set(root, units, active=True)
        case "stop":
            _set(root, units, active=False)
        case "enable" | "disable":
            if "now" in found:
                _set(root, units, active=command == "enable")
        case "is-active":
            active = all(root.is_active(unit) for unit in units)
            if "quiet" not in found and "q" not in found:
                print("active" if active else "inactive")
            return 0 if active else IS_DOWN
        case _:
            raise ToolError(f"systemctl on a paper machine does not know: {command}")
    return 0


def _set(root: PaperRoot, units: list[str], *, active: bool) -> None:
    for unit in units:
        root.set_active(unit, active)


def _has_containerd(root: PaperRoot) -> bool:
    return (root.path / "usr/bin/containerd").exists()


def containerd(root: PaperRoot, arguments: list[str]) -> int:
    match arguments:
        case ["--version" | "-v"]:
            print(f"containerd github.com/containerd/containerd {root.facts()['containerd']} paper")
        case ["config", "default"]:
            print('version = 2\nroot = "/var/lib/containerd"\nstate = "/run/containerd"')
        case _:
            raise ToolError("containerd on a paper machine is started by systemctl")
    return 0


def yum(root: PaperRoot, arguments: list[str]) -> int:
    """Install containerd of the one version that the machine's repository has."""
    _, words = options(arguments, "")
    match words:
        case ["install", package]:
            _install(root, package, re.fullmatch(r"containerd(?:\.io)?(?:-([0-9.]+))?", package))
        case _:
            raise ToolError(f"yum on a paper machine does not know: {' '.join(words)}")
    return 0


def apt_get(root: PaperRoot, arguments: list[str]) -> int:
    _, words = options(arguments, "o")
    match words:
        case ["update"]:
            pass
        case ["install", package]:
            pattern = r"containerd(?:=([0-9.]+)[~-][^ ]*)?"
            _install(root, package, re.fullmatch(pattern, package))
        case _:
            raise ToolError(f"apt-get on a paper machine does not know: {' '.join(words)}", 100)
    return 0


def apt_cache(root: PaperRoot, arguments: list[str]) -> int:
    match arguments:
        case ["madison", *packages]:
            if "containerd" in packages:
                version = root.facts()["containerd_offered"]
                print(f"containerd | {version}~ds1-1+paper1 | http://deb.debian.org/debian paper")
        case _:
            raise ToolError("apt-cache on a paper machine only knows madison", 100)
    return 0


def _install(root: PaperRoot, package: str, match: re.Match[str] | None) -> None:
    offered = root.facts()["containerd_offered"]
    if match is None or match.group(1) not in (None, offered):
        raise ToolError(f"Error: Unable to find a match: {package}", 1)
    install_containerd(root, Path(root.facts()["tools"]))
    print(f"Installed: containerd-{offered}\nComplete!")


def install_containerd(root: PaperRoot, tools: Path) -> None:
    """Put containerd and its clients on the PATH of the machine."""
    bin_ = root.path / "usr/bin"
    for name in ("containerd", "ctr", "crictl"):
        link = bin_ / name
        if not link.exists():
            link.symlink_to(tools / "runtime" / name)


def nothing(_root: PaperRoot, _arguments: list[str]) -> int:
    """Succeed: ``sync`` and ``udevadm settle`` have nothing to wait for here."""
    return 0
