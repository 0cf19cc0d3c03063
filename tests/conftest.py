"""What tests of both sides share: a local cloud on paper machines, and keys to it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator import parity
from emulator.app import Handle, running
from emulator.settings import Settings

# The local cloud that a test starts, in this process or another, must not make anything up.
os.environ[parity.SWITCH] = parity.STRICT

# No delays: a test that wants one moves the clock through its own settings.
INSTANT = Settings(
    instance_boot_s=0,
    instance_stop_s=0,
    snapshot_upload_s=0,
    kubelet_registration_s=0,
    task_step_s=0,
    content_scale=0.01,
    paper_kubelet_package_s=0,
    paper_image_s=0,
)


# Of two workers, each with a file at a time, one must not come to these when the other has done
# all the rest. Longest first; the first alone takes minutes.
LONG_FILES = (
    "tests/dags/test_real_airflow.py",
    "tests/emulated/test_remote_jobs.py",
    "tests/local/test_compose.py",
)


@pytest.hookimpl(trylast=True)  # after pytest-randomly, whose order of the others stays
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {name: place for place, name in enumerate(LONG_FILES)}
    items.sort(key=lambda item: places.get(item.nodeid.partition("::")[0], len(places)))


@pytest.fixture
def cloud_handle(tmp_path: Path) -> Iterator[Handle]:
    """Return a fresh local cloud with the demo seed on paper machines, without delays.

    ``.facts`` is its ready line, ``.cloud`` its state, ``.advance(seconds)`` moves its clock.
    """
    with running(tmp_path / "cloud", settings=INSTANT) as handle:
        yield handle
