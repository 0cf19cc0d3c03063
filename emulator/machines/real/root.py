"""The files of a machine: what it has of its own, and what it shares with the host.

``/usr`` and ``/etc`` are overlays over the host's, so a machine costs no download and no copy;
the rest of its root is a folder on the store. Both outlive a stop, as a system disk does.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from emulator.machines.base import DiskAttachment, MachineError, MachineSpec
from emulator.machines.real import cgroups
from emulator.machines.real.commands import run
from emulator.machines.real.loops import Loop

GUEST = Path(__file__).parent / "guest"
AGENT = Path(__file__).parents[2] / "guest"
_KIB = 1024

# Empty folders of a fresh root; usr, etc, proc, sys, dev and run are mounted over.
FOLDERS = "usr etc proc sys dev run home mnt media opt srv var/cache var/lib var/log var/spool"
LINKS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a machine finds around it, the same for all machines of one emulator."""

    registries: tuple[str, ...]
    pause_image: str


class MachineFolder:
    """One machine's folder on the store, and its logs beside the store."""

    def __init__(self, folder: Path, logs: Path) -> None:
        self.path = folder
        self.logs = logs
        self.etc = folder / "etc-upper"
        self.usr = folder / "usr-upper"

    @property
    def console(self) -> Path:
        return self.logs / "console.log"

    def prepare_once(self, spec: MachineSpec, around: Surroundings) -> None:
        """Write the files of a new machine; leave those of a stopped one alone."""
        if self.path.exists():
            return
        shutil.rmtree(self.logs, ignore_errors=True)  # of a machine of that name, long ago
        try:
            self._prepare(spec, around)
        except BaseException:
            self.remove()  # half a root must not pass for a whole one
            raise

    def _prepare(self, spec: MachineSpec, around: Surroundings) -> None:
        root = self.path / "root"
        for name in ("usr-work", "etc-work"):
            (self.path / name).mkdir(parents=True)
        for name in FOLDERS.split():
            (root / name).mkdir(parents=True, exist_ok=True)
        self.logs.mkdir(parents=True, exist_ok=True)
        for name in ("tmp", "var/tmp"):
            (root / name).mkdir()
            (root / name).chmod(0o1777)
        (root / "var/run").symlink_to("/run")
        for name in LINKS:
            if Path("/", name).is_symlink():
                (root / name).symlink_to(Path("/", name).readlink())
        (root / "root").mkdir(mode=0o700)
        _write(root / "root/.ssh/authorized_keys", "".join(f"{k}\n" for k in spec.authorized_keys))
        (root / "root/.ssh").chmod(0o700)
        self._write_etc(spec, around)
        self._write_tools()
        self._write_seed(root / "var/lib/cloud/seed", spec)

    def _write_etc(self, spec: MachineSpec, around: Surroundings) -> None:
        short = spec.hostname.partition(".")[0]
        names = f"{spec.private_ip} {spec.hostname}" + (f" {short}" * (short != spec.hostname))
        _write(self.etc / "hostname", f"{spec.hostname}\n", 0o644)
        _write(self.etc / "hosts", f"127.0.0.1 localhost\n{names}\n", 0o644)
        # Nothing here leads to a name server; an empty list fails at once instead of hanging.
        _write(self.etc / "resolv.conf", "", 0o644)
        _write(self.etc / "fstab", "", 0o644)
        _write(self.etc / "passwd", _passwd(Path("/etc/passwd").read_text()), 0o644)
        # "*": no password, and not locked, which sshd would take for "no key either".
        _write(self.etc / "shadow", "root:*:19000:0:99999:7:::\n")
        self._write_ssh()
        self._write_containerd(around)

    def _write_ssh(self) -> None:
        ssh = self.etc / "ssh"
        _write(ssh / "sshd_config", (GUEST / "sshd_config").read_text(), 0o644)
        for key in Path("/etc/ssh").glob("ssh_host_*"):  # the host's own keys are none of its
            os.mknod(ssh / key.name, stat.S_IFCHR, 0)  # overlayfs: a deleted file
        key = ssh / "ssh_host_ed25519_key"
        for stale in (key, key.with_suffix(".pub")):
            stale.unlink(missing_ok=True)
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", key)

    def _write_containerd(self, around: Surroundings) -> None:
        config = (GUEST / "containerd.toml").read_text()
        folder = self.etc / "containerd"
        _write(folder / "config.toml", config.replace("@PAUSE_IMAGE@", around.pause_image), 0o644)
        for registry in around.registries:
            address = f"http://{registry}"
            _write(
                folder / "certs.d" / registry / "hosts.toml",
                f'server = "{address}"\n\n[host."{address}"]\n'
                '  capabilities = ["pull", "resolve"]\n',
                0o644,
            )

    def _write_tools(self) -> None:
        text = (GUEST / "systemctl").read_text()
        _write(self.usr / "bin/systemctl", text.replace("@PYTHON@", sys.executable), 0o755)
        crictl = f'#!/bin/sh\nexec "{sys.executable}" -I /opt/ack-guest/crictl.py "$@"\n'
        _write(self.usr / "local/bin/crictl", crictl, 0o755)

    def _write_seed(self, seed: Path, spec: MachineSpec) -> None:
        refuse_what_cloud_init_alone_does(spec)
        for name, data in (("user-data", spec.user_data), ("pre-user-data", spec.pre_user_data)):
            _write(seed / name, data)
        if spec.node is None:
            return
        node = spec.node
        facts = {**asdict(node), "labels": dict(node.labels), "taints": [*map(dict, node.taints)]}
        _write(self.etc / "ack/join.json", json.dumps(facts, indent=2) + "\n")
        _write(
            self.etc / "ack/init.env",
            f"KUBERNETES_VERSION={node.kubernetes_version}\nPACKAGES_URL={node.packages_url}\n",
        )

    def describe_boot(self, disks: Sequence[tuple[DiskAttachment, Loop]]) -> None:
        """Write the lists that boot.sh reads; they differ from one boot to the next."""
        lines = (f"{Path(d.device).name} {p.major} {p.minor} {d.serial}" for d, p in disks)
        _write(self.path / "disks", "".join(f"{line}\n" for line in lines))
        table = (
            f"{p.major:4} {p.minor:8} {d.size_gib * _KIB * _KIB:10} {Path(d.device).name}\n"
            for d, p in disks
        )
        _write(self.path / "partitions", "major minor  #blocks  name\n\n" + "".join(table), 0o444)
        first = (h for h in cgroups.hierarchies() if h.version == 1)
        _write(self.path / "cgroups", "".join(f"{h.point.name} {h.options}\n" for h in first))
        shared = [f"{self.logs}\t/var/log\trw", f"{GUEST}\t/opt/ack-machine\tro"]
        shared += [f"{AGENT}\t/opt/ack-guest\tro"]
        shared += [f"{folder}\t{folder}\tro" for folder in python_folders()]
        _write(self.path / "binds", "".join(f"{line}\n" for line in shared))

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)


def refuse_what_cloud_init_alone_does(spec: MachineSpec) -> None:
    """Let scripts pass.

    :raises MachineError: for user data that a real machine would act on and these do not.
    """
    kinds = (
        b"#cloud-config",
        b"#include",
        b"#cloud-boothook",
        b"Content-Type:",
        b"MIME-",
        b"\x1f\x8b",
    )
    for data in (spec.user_data, spec.pre_user_data):
        if data.startswith(kinds):
            start = data[:20].decode(errors="replace")
            raise MachineError(
                f"user data of {spec.machine_id} starts with {start!r}; local machines only run "
                "scripts, which start with #!"
            )


def python_folders() -> list[Path]:
    """Return the folders that this interpreter needs, each to be seen at its own path.

    A virtual environment leads to its base through one or more links, each of which must
    resolve in the machine too.
    """
    wanted = {Path(sys.prefix), Path(sys.base_prefix), Path(sys.base_prefix).resolve()}
    program = Path(sys.executable)
    while program.is_symlink():
        program = program.parent / program.readlink()
        wanted.add(Path(os.path.normpath(program)).parent.parent)
    outermost = [folder for folder in wanted if not _is_inside_any(folder, wanted)]
    return sorted(folder for folder in outermost if not folder.is_relative_to("/usr"))


def _is_inside_any(folder: Path, others: Iterable[Path]) -> bool:
    return any(folder != other and folder.is_relative_to(other) for other in others)


def _passwd(text: str) -> str:
    """Give root a plain shell and home: the host's root may have an unusual one."""
    others = [line for line in text.splitlines() if line and not line.startswith("root:")]
    return "\n".join(["root:x:0:0:root:/root:/bin/bash", *others]) + "\n"


def _write(file: Path, content: str | bytes, mode: int = 0o600) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    file.chmod(mode)
