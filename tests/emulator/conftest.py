"""Fixtures of the local cloud's own tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from emulator.app import Handle, running
from tests.conftest import INSTANT
from tests.emulator.paper_lab import Lab, paper_lab
from tests.emulator.world import SETTINGS, World


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Return a cloud without HTTP and machines, whose time the test moves."""
    world = World(tmp_path)
    yield world
    for held in world.machines.held.values():
        held.set()  # closing destroys machines, and a test may have held that
    await world.cloud.close()


@pytest.fixture
async def slow_agents(tmp_path: Path) -> AsyncIterator[World]:
    """Return such a cloud whose agents of Cloud Assistant take half a minute to come up."""
    world = World(tmp_path, replace(SETTINGS, agent_boot_s=30))
    yield world
    await world.cloud.close()


@pytest.fixture(scope="module")
def quiet_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Handle]:
    """Return a local cloud for calls that change nothing in it; all tests of a module share it."""
    with running(tmp_path_factory.mktemp("cloud"), settings=INSTANT, seed="empty") as handle:
        yield handle


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    """Return one paper machine with a data disk, whose faults the test arms."""
    async with paper_lab(tmp_path) as lab:
        yield lab
