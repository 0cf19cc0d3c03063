"""The local cloud with Airflow's connection to it in the environment."""

from __future__ import annotations

import pytest

from emulator.app import Handle
from tests.emulated.driving import connection


@pytest.fixture
def cloud(cloud_handle: Handle, monkeypatch: pytest.MonkeyPatch) -> Handle:
    """Return a fresh local cloud that ``alibabacloud_default`` leads to."""
    monkeypatch.setenv("AIRFLOW_CONN_ALIBABACLOUD_DEFAULT", connection(cloud_handle.facts))
    return cloud_handle
