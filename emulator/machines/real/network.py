"""The network of the machines: a bridge in a namespace of its own, and one cable to the host.

Nothing listens in the host's namespace, so no firewall of the host is ever asked to let a
machine in; the host only opens connections outward, to services and machines alike.
"""

from __future__ import annotations

import ipaddress
import threading
from dataclasses import dataclass

from emulator.machines.base import MachineError
from emulator.machines.real import namespaces
from emulator.machines.real.commands import attempt, run

GATEWAY_HOST, FIRST_HOST, LAST_HOST, CABLE_HOST = 1, 11, 250, 254
BRIDGE = "br0"

# tbf drops a segment larger than its bucket; a veth hands over up to 64 KiB at once, and at a
# high rate the bucket must also hold what flows between two timer ticks (4 ms at HZ=250).
SMALLEST_BURST = 512 * 1024
TICK_S = 0.004
BITS = 8


@dataclass(frozen=True, slots=True)
class Port:
    """One machine's connection to the bridge."""

    namespace: str
    device: str  # the bridge's end


class Network:
    """One per emulator. Machines have no default route: what is not here fails at once."""

    def __init__(self, prefix: str, addresses: ipaddress.IPv4Network, link_mb_per_s: float) -> None:
        self.prefix = prefix
        self.addresses = addresses
        self.namespace = f"{prefix}-infra"
        self.gateway = str(addresses[GATEWAY_HOST])
        self._rate = link_mb_per_s * 1e6
        self._lock = threading.Lock()
        self._held: dict[str, int] = {}  # machine id -> last byte
        self._next = FIRST_HOST

    def open(self) -> None:
        run("ip", "netns", "add", self.namespace)
        cable, width = f"{self.prefix}-host", self.addresses.prefixlen
        # A fixed hardware address: a bridge otherwise takes that of a port, and changes it when
        # ports come and go, while its neighbours still send to the old one.
        _batch(
            self.namespace,
            "link set lo up",
            f"link add {BRIDGE} address {self._hardware(GATEWAY_HOST)} type bridge",
            f"addr add {self.gateway}/{width} dev {BRIDGE}",
            f"link set {BRIDGE} up",
        )
        run(*f"ip link add {cable} type veth peer name cable netns {self.namespace}".split())
        _batch(self.namespace, f"link set cable master {BRIDGE} up")
        run("ip", "address", "add", f"{self.addresses[CABLE_HOST]}/{width}", "dev", cable)
        run("ip", "link", "set", cable, "up")

    def close(self) -> None:
        # By itself the cable goes only when the kernel winds the namespace up, some time later.
        attempt("ip", "link", "delete", f"{self.prefix}-host")
        remove(self.namespace)

    def reserve(self, machine_id: str) -> str:
        """Return a free address, the same one when asked again.

        Addresses go round: the one that was given back last is given out last, since clients
        remember what they knew of it.
        """
        with self._lock:
            if machine_id not in self._held:
                self._held[machine_id] = self._free()
            return str(self.addresses[self._held[machine_id]])

    def give_back(self, machine_id: str) -> None:
        with self._lock:
            self._held.pop(machine_id, None)

    def _free(self) -> int:
        taken = set(self._held.values())
        span = LAST_HOST - FIRST_HOST + 1
        for step in range(span):
            candidate = FIRST_HOST + (self._next - FIRST_HOST + step) % span
            if candidate not in taken:
                self._next = candidate + 1
                return candidate
        raise MachineError(f"all {span} addresses of {self.addresses} are taken; delete machines")

    def plug(self, machine_id: str, address: str) -> Port:
        """Make a machine's namespace with ``eth0`` in it, limited to the rate of the link."""
        host = int(address.rpartition(".")[2])
        port = Port(f"{self.prefix}-{machine_id}", f"{self.prefix}-m{host}")
        run("ip", "netns", "add", port.namespace)
        try:
            run(
                *f"ip -n {port.namespace} link add eth0 address {self._hardware(host)}".split(),
                *f"type veth peer name {port.device} netns {self.namespace}".split(),
            )
            _batch(self.namespace, f"link set {port.device} master {BRIDGE} up")
            _batch(
                port.namespace,
                "link set lo up",
                f"addr add {address}/{self.addresses.prefixlen} dev eth0",
                "link set eth0 up",
            )
            self._limit(port.device)
        except MachineError:
            remove(port.namespace)
            raise
        return port

    def unplug(self, port: Port) -> None:
        # The port's two ends go together, but only once the kernel winds the namespace up;
        # a machine that starts again with this address must not meet the old one.
        attempt("ip", "-n", self.namespace, "link", "delete", port.device)
        remove(port.namespace)

    def _limit(self, device: str) -> None:
        """Limit what flows to the machine, its downloads. 0 is no limit."""
        if not self._rate:
            return
        burst = max(SMALLEST_BURST, int(self._rate * TICK_S))
        words = f"tc -n {self.namespace} qdisc add dev {device} root tbf".split()
        rate = f"rate {int(self._rate * BITS)}bit burst {burst} latency 50ms"
        try:
            run(*words, *rate.split())
        except MachineError as error:
            raise MachineError(
                f"the link cannot be limited to {self._rate / 1e6:g} MB/s: {error}; load the "
                "kernel module sch_tbf, or lift the limit: --set link_mb_per_s=0"
            ) from error

    def _hardware(self, host: int) -> str:
        """Derive a hardware address from the IP address, so that caches of it stay right."""
        third = self.addresses[host].packed[2]
        return f"02:c6:12:{third:02x}:00:{host:02x}"


def remove(namespace: str) -> None:
    """Delete a network namespace with all devices in it.

    :raises MachineError: when it is still there afterwards.
    """
    complaint = attempt("ip", "netns", "delete", namespace)
    if complaint and (namespaces.FOLDER / namespace).exists():
        raise MachineError(f"network namespace {namespace} cannot be removed: {complaint}")


def _batch(namespace: str, *lines: str) -> None:
    run("ip", "-n", namespace, "-batch", "-", text="\n".join(lines) + "\n")
