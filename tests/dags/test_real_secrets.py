"""No secret of a night is anywhere but where it lives on purpose."""

from __future__ import annotations

import base64
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.dags.airflow_world import World
from tests.dags.secrets_world import BUILD, REGISTRY_CONN_ID, Planted
from tests.secrets_search import Finding, Marker, Place, columns, files, search

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]

# Where a secret lives on purpose: file below the folder of the local run -> markers, and why.
HOMES = {
    # What the local cloud says when it is ready, 0600: the account itself, so to speak.
    "run/cloud.json": {"AccessKey secret", "registry password"},
    # The key pair that the local cloud was seeded with, 0600, for who starts it.
    "emulator/paper/demo-nodes.pem": {"key of the nodes"},
    # Airflow's own, made on first use, and the configuration that it reads them from.
    "secrets/fernet_key": {"Fernet key"},
    "secrets/jwt_secret": {"JWT secret"},
    "secrets/airflow_passwords.json": {"password of the UI"},
    "airflow/airflow.cfg": {"Fernet key", "JWT secret"},
}


@pytest.fixture
def markers(world: World, planted: Planted, night: str) -> list[Marker]:
    listed = world.api.call("GET", f"/dags/{BUILD}/dagRuns", limit=50)["dag_runs"]
    (found,) = [run["dag_run_id"] for run in listed if run["conf"].get("chain") == night]
    return planted.markers(found)


def is_at_home(world: World, found: Finding) -> bool:
    path = found.place.removeprefix(f"{world.stack.layout.home}/")
    return found.kind == "file" and found.marker in HOMES.get(path, set())


def test_no_secret_of_a_night_is_to_be_found(
    world: World, planted: Planted, markers: list[Marker]
) -> None:
    found = search(markers, planted.places())
    strays = sorted(str(each) for each in found if not is_at_home(world, each))
    assert strays == [], "\n".join(strays)
    assert {each.marker for each in found} == set().union(*HOMES.values())
    for home in HOMES:
        assert (world.stack.layout.home / home).stat().st_mode & 0o777 == 0o600, home


def test_the_search_looks_at_every_kind_of_place(
    world: World, planted: Planted, night: str
) -> None:
    """What is known to be in each kind of place is found there by the same search."""
    known = {
        "Airflow's log": "pull_images.sh on ",
        "component's log": "dag_processor",
        "metadata database": BUILD,
        "history": world.facts["private_image"],
        "request log": "RunInstances",
        "disk": "paper layer reranker",
        "snapshot": "paper layer reranker",
        "machine": "the runtime's own words",  # of pull_images.sh, which the job keeps as a file
        "command line": "--unix-socket",
        "environment": "ACK_PRELOAD_PROGRESS",
        "tags": "ack-preload/product",
        "REST": REGISTRY_CONN_ID,
        "file": "alibabacloud_default",
    }
    words = [Marker(kind, (("as it is", word.encode()),)) for kind, word in known.items()]
    found = {each.kind for each in search(words, planted.places()) if each.marker == each.kind}
    assert found == set(known)


def test_the_search_finds_what_leaks(
    world: World, planted: Planted, markers: list[Marker], tmp_path: Path
) -> None:
    """Leaked on purpose, into a copy of a database and of a snapshot, a log, a tag, and ``ps``."""
    layout, password = world.stack.layout, world.facts["registry_password"]
    database = tmp_path / "airflow.db"
    with (
        closing(sqlite3.connect(layout.airflow / "airflow.db")) as source,
        closing(sqlite3.connect(database)) as copy,
    ):
        source.backup(copy)
        copy.execute("UPDATE rendered_task_instance_fields SET rendered_fields = ?", (password,))
        copy.commit()
    disk, log = tmp_path / "disk", tmp_path / "task.log"
    shutil.copytree(layout.emulator("paper") / "paper" / "snapshots", disk, symlinks=True)
    pair = base64.b64encode(f"{world.facts['registry_username']}:{password}".encode()).decode()
    (disk / "hosts.toml").write_text(f'authorization = "Basic {pair}"\n')
    log.write_text(f"GET https://registry/v2/?password={password}\n")
    places = [
        *files("log", log),
        *columns("database", database),
        *files("snapshot", disk),
        Place.of_text("command line", "ps", f"crictl\0pull\0--creds\0robot:{password}\0"),
        Place.of_text("tags", "instance", f'{{"note": "{planted.ssh_seed}"}}'),
    ]
    assert {(each.kind, each.marker) for each in search(markers, places)} == {
        ("log", "registry password"),
        ("database", "registry password"),
        ("snapshot", "registry authorization"),
        ("snapshot", "registry password"),
        ("command line", "registry password"),
        ("command line", "registry authorization"),
        ("tags", "SSH secret"),
    }
