"""Give each emulator on a host a number of its own, which names all that it makes there."""

from __future__ import annotations

import fcntl
import ipaddress
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from emulator.machines.base import MachineError
from emulator.machines.real import cgroups, namespaces
from emulator.machines.real.commands import run
from emulator.machines.real.processes import Identity, boot_id

LOCKS = Path("/run/ack-preload")
COUNT = 255  # third byte of the address
RECORD = "slot.json"  # in the state folder: which number was taken


@dataclass(frozen=True, slots=True)
class Owner:
    """Who took a number: written into the lock file and into the state folder."""

    number: int
    state_dir: str
    pid: int
    started: int
    boot_id: str


@dataclass(frozen=True, slots=True)
class Slot:
    """A number, ours as long as its lock file is open."""

    owner: Owner
    lock: int  # file descriptor

    @property
    def prefix(self) -> str:
        return prefix(self.owner.number)

    @property
    def network(self) -> ipaddress.IPv4Network:
        return network(self.owner.number)

    def release(self) -> None:
        """Forget the number; the lock file goes while it is still locked, so nobody waits on it."""
        (Path(self.owner.state_dir) / RECORD).unlink(missing_ok=True)
        lock_file(self.owner.number).unlink(missing_ok=True)
        os.close(self.lock)


def prefix(number: int) -> str:
    return f"ackp{number}"


def network(number: int) -> ipaddress.IPv4Network:
    # 198.18.0.0/15 is set aside for tests of network devices (RFC 2544), so no real network
    # that this host wants to reach is hidden by it.
    return ipaddress.IPv4Network(f"198.18.{number}.0/24")


def lock_file(number: int) -> Path:
    return LOCKS / f"{number}.lock"


def claim(state_dir: Path) -> Slot:
    """Take the first number that nobody uses and record it in ``state_dir``.

    :raises MachineError: when all are taken.
    """
    LOCKS.mkdir(mode=0o755, exist_ok=True)
    routes = list(routed(run("ip", "-json", "-4", "route", "show", "table", "all")))
    for number in range(COUNT):
        lock = lock_number(number)
        if lock is None:
            continue
        if _is_used(number, routes):
            # A killed emulator's, which only reaping its state folder frees; or no emulator's.
            if not os.fstat(lock).st_size:
                lock_file(number).unlink()
            os.close(lock)
            continue
        me = Identity.of(os.getpid())
        if me is None:
            raise MachineError("this process cannot read its own /proc entry; is /proc mounted?")
        owner = Owner(number, str(state_dir), me.pid, me.started, boot_id())
        record = json.dumps(asdict(owner)) + "\n"
        os.ftruncate(lock, 0)
        os.pwrite(lock, record.encode(), 0)
        (state_dir / RECORD).write_text(record)
        return Slot(owner, lock)
    raise MachineError(
        f"all {COUNT} machine networks 198.18.N.0/24 are in use on this host; stop an emulator, "
        "or clean up after killed ones: python -m emulator --state DIR --reap"
    )


def lock_number(number: int) -> int | None:
    """Lock a number; ``None`` while a living emulator holds it."""
    file = lock_file(number)
    fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    # Its last owner may have removed the file between our open and our lock.
    if not file.exists() or file.stat().st_ino != os.fstat(fd).st_ino:
        os.close(fd)
        return None
    return fd


def recorded(file: Path) -> Owner | None:
    """Read an owner from a lock file or a state folder's record."""
    try:
        text = file.read_text()
    except FileNotFoundError:
        return None
    return Owner(**json.loads(text)) if text.strip() else None


def routed(routes_json: str) -> Iterator[ipaddress.IPv4Network]:
    """Return the networks that this host has a route to, the default route aside."""
    for route in json.loads(routes_json or "[]"):
        if route["dst"] != "default":
            yield ipaddress.IPv4Network(route["dst"])


def _is_used(number: int, routes: Iterable[ipaddress.IPv4Network]) -> bool:
    wanted = network(number)
    if any(wanted.overlaps(route) for route in routes if route.prefixlen):
        return True
    pinned = namespaces.FOLDER.glob(f"{prefix(number)}-*")
    return any(pinned) or bool(cgroups.existing(prefix(number)))
