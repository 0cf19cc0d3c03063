"""Settings of the local cloud that are given to a local run."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.demo import refuse_settings
from local.layout import Layout
from local.stack import Stack, StackError


def test_settings_are_not_lost_on_a_local_cloud_that_runs_already(tmp_path: Path) -> None:
    running = Stack(Layout(tmp_path))
    with pytest.raises(StackError, match=r"--set a=1: the local cloud runs already.*make down"):
        refuse_settings(running, ["a=1"])
    refuse_settings(running, [])
    refuse_settings(None, ["a=1"])
