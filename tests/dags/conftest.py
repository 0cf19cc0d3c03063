"""The DAGs, parsed once for all tests of their structure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from airflow.dag_processing.dagbag import DagBag

DAGS = Path(__file__).parents[2] / "dags"


@pytest.fixture(scope="session")
def dagbag() -> DagBag:
    from airflow.dag_processing.dagbag import DagBag  # noqa: PLC0415  # 3 s

    return DagBag(str(DAGS), bundle_name="dags-folder")
