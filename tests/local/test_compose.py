"""Look up every name in ``docker-compose.yaml`` and ``Dockerfile``: no engine runs in tests."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import check_jsonschema
import jsonschema
import pytest
import yaml
from cryptography.fernet import Fernet

from local.layout import ROOT

TEXT = (ROOT / "docker-compose.yaml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
AIRFLOW = {name: service for name, service in SERVICES.items() if name.startswith("airflow-")}
SCHEMA = Path(check_jsonschema.__file__).parent / "builtin_schemas/vendor/compose-spec.json"
DOCKERFILE = (ROOT / "Dockerfile").read_text()


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what the Airflow of the containers knows, asked in an environment of its pins."""
    subprocess.run([ROOT / "local/venv.sh", "compose"], check=True, timeout=600)
    manager = AIRFLOW["airflow-scheduler"]["environment"]["AIRFLOW__CORE__AUTH_MANAGER"]
    environment = {
        "PATH": os.environ["PATH"],
        "AIRFLOW_HOME": str(tmp_path_factory.mktemp("airflow")),
        "AIRFLOW__CORE__AUTH_MANAGER": manager,
    }
    asked = subprocess.run(
        [ROOT / ".local/compose-venv/bin/python", ROOT / "tests/local/compose_probe.py"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert asked.returncode == 0, asked.stderr
    facts: dict[str, Any] = json.loads(asked.stdout.splitlines()[-1])
    return facts


def test_the_file_is_valid_by_the_compose_schema() -> None:
    jsonschema.validate(COMPOSE, json.loads(SCHEMA.read_text()))


@pytest.mark.slow
def test_every_command_exists_in_that_airflow(airflow: dict[str, Any]) -> None:
    commands = {name: service["command"] for name, service in AIRFLOW.items()}
    assert set(commands.values()) <= set(airflow["commands"])
    checks = [
        " ".join(service["healthcheck"]["test"])
        for name, service in AIRFLOW.items()
        if "healthcheck" in service
    ]
    asked = {match[1] for check in checks if (match := re.search(r"airflow (\w+ \w+)", check))}
    assert asked == {"jobs check"}
    assert asked <= set(airflow["commands"])


@pytest.mark.slow
def test_every_option_exists_in_that_airflow(airflow: dict[str, Any]) -> None:
    named = {
        name
        for service in AIRFLOW.values()
        for name in service["environment"]
        if name.startswith("AIRFLOW__")
    }
    assert named <= set(airflow["options"])


@pytest.mark.slow
def test_executor_and_auth_manager_load_with_the_pinned_versions(airflow: dict[str, Any]) -> None:
    # An unpinned Celery breaks the executor while `pip check` is clean.
    assert airflow["executor"] == "CeleryExecutor"
    assert airflow["auth_manager"] == "FabAuthManager"


def test_every_part_of_airflow_runs_and_waits_for_the_migration() -> None:
    assert set(SERVICES) == {
        "postgres",
        "redis",
        "airflow-apiserver",
        "airflow-scheduler",
        "airflow-dag-processor",
        "airflow-worker",
        "airflow-triggerer",
        "airflow-init",
    }
    for name, service in AIRFLOW.items():
        wanted = {"postgres", "redis"} | (set() if name == "airflow-init" else {"airflow-init"})
        assert wanted <= set(service["depends_on"]), name


def test_every_file_that_is_mounted_or_copied_exists() -> None:
    mounted = [
        volume.split(":")[0]
        for service in SERVICES.values()
        for volume in service.get("volumes", [])
    ]
    files = [path for path in mounted if path.startswith(".")]
    assert files
    for line in re.findall(r"^COPY (.+)$", DOCKERFILE, re.MULTILINE):
        words = [word for word in shlex.split(line) if not word.startswith("--")]
        files += words[:-1]
    missing = [path for path in files if not (ROOT / path).exists()]
    assert missing == []
    named = {path for path in mounted if not path.startswith(".")}
    assert named == set(COMPOSE["volumes"])


def test_what_the_dockerfile_copies_is_not_ignored() -> None:
    kept = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"
    }
    copied: set[str] = set()
    for line in re.findall(r"^COPY (.+)$", DOCKERFILE, re.MULTILINE):
        words = [word for word in shlex.split(line) if not word.startswith("--")]
        copied |= set(words[:-1])
    assert copied == kept


def test_ports_are_the_same_wherever_they_are_named() -> None:
    environment = AIRFLOW["airflow-apiserver"]["environment"]
    assert SERVICES["airflow-apiserver"]["ports"] == ["127.0.0.1:8080:8080"]
    assert ":8080/" in environment["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"]
    assert environment["AIRFLOW__API__BASE_URL"].endswith(":8080")
    assert ":8080/" in " ".join(SERVICES["airflow-apiserver"]["healthcheck"]["test"])
    assert ":6379/" in environment["AIRFLOW__CELERY__BROKER_URL"]
    assert SERVICES["redis"]["expose"] == [6379]


def test_addresses_inside_are_names_of_services() -> None:
    environment = AIRFLOW["airflow-worker"]["environment"]
    hosts = {
        match
        for value in environment.values()
        for match in re.findall(r"(?:@|http://)([a-z-]+)[:/]", value)
    }
    assert hosts - {"localhost"} == {"postgres", "redis", "airflow-apiserver"}


def test_the_image_is_of_the_airflow_that_the_requirements_pin() -> None:
    pinned = re.search(
        r"^apache-airflow==(\S+)", (ROOT / "requirements-compose.txt").read_text(), re.MULTILINE
    )
    assert pinned is not None
    assert f"FROM apache/airflow:{pinned[1]}-python3.11" in DOCKERFILE
    assert {service["image"] for service in AIRFLOW.values()} == {
        f"ack-preload-airflow:{pinned[1]}"
    }


def test_no_secret_has_a_value_or_a_default() -> None:
    used = re.findall(r"\$\{[^}]+\}", TEXT.replace("$${HOSTNAME}", ""))
    assert used
    assert {use for use in used if ":?" not in use} == set()
    for name, value in AIRFLOW["airflow-init"]["environment"].items():
        if re.search(r"PASSWORD|SECRET|KEY|CONN|BACKEND|BROKER", name):
            assert "${" in value, name


def test_the_environment_file_names_every_variable_and_is_private(tmp_path: Path) -> None:
    (tmp_path / "compose").mkdir()
    script = tmp_path / "compose/make-env"
    script.write_bytes((ROOT / "compose/make-env").read_bytes())
    script.chmod(0o755)
    subprocess.run([script], check=True, capture_output=True)
    env = tmp_path / ".env"
    values = dict(line.split("=", 1) for line in env.read_text().splitlines())

    assert set(values) == set(re.findall(r"\$\{([A-Z_]+):\?", TEXT))
    assert env.stat().st_mode & 0o777 == 0o600
    Fernet(values["FERNET_KEY"])
    assert len(set(values.values())) == len(values)
    # Inside a database URL nothing of it may need quoting.
    assert re.fullmatch(r"[A-Za-z0-9_-]{40,}", values["POSTGRES_PASSWORD"])

    again = subprocess.run([script], check=False, capture_output=True)
    assert again.returncode == 1
    assert values == dict(line.split("=", 1) for line in env.read_text().splitlines())
