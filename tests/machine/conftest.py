"""Real machines for tests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from emulator.clock import Clock
from emulator.machines.real import RealMachines
from emulator.settings import Settings
from tests.machine.lab import SETTINGS, Lab


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if sys.platform == "linux" and os.geteuid() == 0:
        return
    for item in items:
        if item.get_closest_marker("machine"):
            item.add_marker(pytest.mark.skip(reason="real machines need Linux as root"))


@pytest.fixture(scope="session")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("key") / "id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file], check=True)
    return file


@pytest.fixture
def settings() -> Settings:
    return SETTINGS


@pytest.fixture
async def lab(tmp_path: Path, key: Path, settings: Settings) -> AsyncIterator[Lab]:
    machines = RealMachines(settings, Clock(), tmp_path / "cloud")
    await machines.open()
    try:
        yield Lab(machines, key)
    finally:
        await machines.close()
