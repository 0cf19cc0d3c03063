"""The DAGs, parsed once for all tests of their structure, and a real Airflow that runs them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.dags.airflow_world import World, run_a_night, running_world
from tests.dags.secrets_world import Planted

if TYPE_CHECKING:
    from airflow.dag_processing.dagbag import DagBag

DAGS = Path(__file__).parents[2] / "dags"


@pytest.fixture(scope="session")
def dagbag() -> DagBag:
    from airflow.dag_processing.dagbag import DagBag  # noqa: PLC0415  # 3 s

    return DagBag(str(DAGS), bundle_name="dags-folder")


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Return one Airflow for every test of ``test_real_*.py``, which run on one worker."""
    with running_world(tmp_path_factory.mktemp("local")) as running:
        yield running


@pytest.fixture(scope="session")
def planted(world: World) -> Planted:
    """Return the secrets that the night of this world works with, put where they belong."""
    secrets = Planted(world)
    secrets.plant()
    return secrets


@pytest.fixture(scope="session")
def night(world: World, planted: Planted) -> str:
    """Return the run id of one good ``nightly_preload``, the first that ran in this world."""
    with planted.watched():
        return run_a_night(world)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """Stop Airflow after the last test that needs it: it would slow down all that follow."""
    running: World | None = getattr(item, "funcargs", {}).get("world")
    yield
    if running and "world" not in getattr(nextitem, "fixturenames", ()):
        running.stack.stop()
