"""Real machines: Linux namespaces, loop devices, containerd. Needs Linux as root."""

from __future__ import annotations

from emulator.machines.real.machines import RealMachines

__all__ = ["RealMachines"]
