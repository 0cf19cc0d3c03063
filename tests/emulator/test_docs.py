"""Every setting, route, key and action of the local cloud is documented."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from emulator.app import Handle
from emulator.control import routes
from emulator.settings import Settings

TEXT = (Path(__file__).parents[2] / "docs" / "emulator.md").read_text()


@pytest.mark.parametrize("name", [field.name for field in fields(Settings)])
def test_every_setting_is_documented(name: str) -> None:
    assert f"`{name}`" in TEXT


def test_every_key_of_the_ready_line_and_every_control_route_is_documented(
    quiet_cloud: Handle,
) -> None:
    missing = [key for key in quiet_cloud.facts if f"`{key}`" not in TEXT]
    missing += [r.path for r in routes(quiet_cloud.cloud) if f"/_control{r.path}" not in TEXT]
    assert not missing
