"""The connection type as Airflow itself reads it, alone and beside the Alibaba provider."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ack_preload.domain import errors
from ack_preload.provider_info import ALIBABA_HOOK, OUR_HOOK, connection_fields, get_provider_info

PROVIDER = "apache-airflow-providers-alibaba"
REPO = Path(__file__).parents[2]
THEIR_INFO = """
def get_provider_info():
    return {
        "package-name": "apache-airflow-providers-alibaba",
        "name": "Alibaba",
        "description": "a stand-in with the entry point of the real one",
        "connection-types": [{
            "connection-type": "alibaba_cloud",
            "hook-class-name": "airflow.providers.alibaba.cloud.hooks.base_alibaba.AlibabaBaseHook",
            "conn-fields": {
                "access_key_id": {"label": "AK", "schema": {"type": ["string", "null"]}},
                "access_key_secret": {"label": "SK", "schema": {"type": ["string", "null"]}},
            },
        }],
    }
"""
ASK_AIRFLOW = """
import json
from airflow.providers_manager import ProvidersManager
from airflow.providers_manager import log
manager = ProvidersManager()
manager.initialize_providers_list()
manager._hook_provider_dict or manager._discover_hooks()
manager._load_ui_metadata()
form = sorted(
    key.removeprefix("extra__alibaba_cloud__")
    for key in manager._connection_form_widgets if key.startswith("extra__alibaba_cloud__")
)
provider = manager._hook_provider_dict["alibaba_cloud"]
print("FOUND", json.dumps({"form": form, "hook": provider.hook_class_name}))
"""


def as_airflow_sees_it(path: list[Path], home: Path) -> dict[str, Any]:
    """Ask Airflow in a process of its own: it reads entry points once."""
    env = {
        "PATH": "/usr/bin:/bin",
        "AIRFLOW_HOME": str(home),
        "PYTHONPATH": ":".join(map(str, [*path, REPO / "include"])),
    }
    done = subprocess.run(
        [sys.executable, "-c", ASK_AIRFLOW], env=env, capture_output=True, text=True, check=True
    )
    line = next(line for line in done.stdout.splitlines() if line.startswith("FOUND "))
    return dict(json.loads(line.removeprefix("FOUND ")), warned="already added" in done.stderr)


@pytest.mark.slow
def test_airflow_shows_our_form(tmp_path: Path) -> None:
    found = as_airflow_sees_it([], tmp_path)
    assert found["form"] == sorted(connection_fields())
    assert found["hook"] == OUR_HOOK


@pytest.fixture
def beside_theirs(tmp_path: Path) -> Path:
    """Return a folder for PYTHONPATH that has a stand-in for the Alibaba provider installed."""
    package = tmp_path / "their_provider"
    package.mkdir()
    (package / "__init__.py").write_text(THEIR_INFO)
    info = tmp_path / "apache_airflow_providers_alibaba-3.5.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {PROVIDER}\nVersion: 3.5.2\n")
    (info / "entry_points.txt").write_text(
        "[apache_airflow_provider]\nprovider_info = their_provider:get_provider_info\n"
    )
    return tmp_path


@pytest.mark.slow
def test_beside_the_alibaba_provider_both_sets_of_fields_show(beside_theirs: Path) -> None:
    found = as_airflow_sees_it([beside_theirs], beside_theirs)
    assert found["form"] == sorted(connection_fields())
    assert found["hook"] == ALIBABA_HOOK
    assert not found["warned"]


def test_beside_the_alibaba_provider_we_only_add_what_it_lacks(
    beside_theirs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(beside_theirs))
    (kind,) = get_provider_info()["connection-types"]
    assert kind["hook-class-name"] == ALIBABA_HOOK
    assert set(connection_fields()) - set(kind["conn-fields"]) == {
        "access_key_id",
        "access_key_secret",
    }


def test_alone_we_bring_the_whole_form() -> None:
    (kind,) = get_provider_info()["connection-types"]
    assert kind["hook-class-name"] == OUR_HOOK
    assert kind["conn-fields"] == connection_fields()


def test_every_field_has_a_label_and_says_what_it_is_for() -> None:
    for field in connection_fields().values():
        assert field["label"]
        assert field["description"]


def test_secrets_are_hidden_in_the_form() -> None:
    hidden = {
        name for name, f in connection_fields().items() if f["schema"].get("format") == "password"
    }
    assert {"access_key_secret", "security_token", "ssh_secret"} <= hidden


def test_every_field_is_documented() -> None:
    page = (REPO / "docs/reference/connection.md").read_text()
    assert [name for name in connection_fields() if f"`{name}`" not in page] == []


def test_every_field_is_read() -> None:
    source = (REPO / "include/ack_preload/hooks/account.py").read_text()
    assert [name for name in connection_fields() if f'extra.get("{name}")' not in source] == []


def test_every_error_is_documented() -> None:
    page = (REPO / "docs/reference/errors.md").read_text()
    raised = [
        name for name, kind in vars(errors).items() if isinstance(kind, type) and "Error" in name
    ]
    assert [name for name in raised if f"`{name}`" not in page and name != "PreloadError"] == []


def test_the_package_is_named_as_it_is_installed() -> None:
    assert get_provider_info()["package-name"] == "ack-preload"
