"""A cloud whose reads lag behind its writes, as real ones may: nothing is given up too early."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from emulator.app import Handle, running
from tests.conftest import INSTANT
from tests.emulated.driving import connection, perform
from tests.emulated.node_pools import apply, scale

LAG = replace(INSTANT, read_delay_s=0.3)  # a dozen polls of these tests
pytestmark = pytest.mark.usefixtures("node_pool_history")


@pytest.fixture
def lagging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Handle]:
    with running(tmp_path / "cloud", settings=LAG) as handle:
        monkeypatch.setenv("AIRFLOW_CONN_ALIBABACLOUD_DEFAULT", connection(handle.facts))
        yield handle


@pytest.mark.slow
def test_a_pool_and_its_tasks_are_waited_for_before_they_are_seen(lagging: Handle) -> None:
    pool = perform(apply(lagging))
    nodes = perform(scale(lagging, pool["node_pool_id"], 1))
    assert len(nodes) == 1
