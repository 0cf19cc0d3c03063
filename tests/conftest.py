"""What tests of both sides share: a local cloud on paper machines, and keys to it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

from emulator import parity
from emulator.app import Handle, running
from emulator.settings import Settings

# The local cloud that a test starts, in this process or another, must not make anything up.
os.environ[parity.SWITCH] = parity.STRICT

# No delays: a test that wants one moves the clock through its own settings.
INSTANT = Settings(
    instance_boot_s=0,
    instance_stop_s=0,
    agent_boot_s=0,
    snapshot_upload_s=0,
    kubelet_registration_s=0,
    task_step_s=0,
    content_scale=0.01,
    paper_kubelet_package_s=0,
    paper_image_s=0,
)


# Tests on the real Airflow share one, in several files: all of them go to the same worker.
REAL_AIRFLOW = "tests/dags/test_real_"
# Of two workers, each with a group at a time, one must not come to these when the other has done
# all the rest. Longest first; the first alone takes minutes, and begins with the night.
LONG_FILES = (
    "tests/dags/test_real_airflow.py",
    REAL_AIRFLOW,
    "tests/local/test_down.py",
    "tests/emulated/test_remote_jobs.py",
    "tests/local/test_compose.py",
)


def group_of(nodeid: str) -> str:
    """Return what stays together on one worker: a file, with its fixtures."""
    file = nodeid.partition("::")[0]
    return REAL_AIRFLOW if file.startswith(REAL_AIRFLOW) else file


class _Groups(LoadFileScheduling):  # type: ignore[misc]  # xdist has no types
    """A file for a worker; those of the real Airflow as one.

    Not ``--dist loadgroup``: the groups that xdist 3.8 marks are lost with pytest 9.2.
    """

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


@pytest.hookimpl(optionalhook=True)  # of xdist
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling:
    return _Groups(config, log)


def place_of(item: pytest.Item) -> int:
    starts = (place for place, name in enumerate(LONG_FILES) if item.nodeid.startswith(name))
    return next(starts, len(LONG_FILES))


@pytest.hookimpl(trylast=True)  # after pytest-randomly, whose order of the others stays
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=place_of)


@pytest.fixture
def cloud_handle(tmp_path: Path) -> Iterator[Handle]:
    """Return a fresh local cloud with the demo seed on paper machines, without delays.

    ``.facts`` is its ready line, ``.cloud`` its state, ``.advance(seconds)`` moves its clock.
    """
    with running(tmp_path / "cloud", settings=INSTANT) as handle:
        yield handle
