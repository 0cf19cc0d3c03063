"""The configuration of the local Airflow, written anew at each start: ports change, secrets do not.

A file of mode 0600 and not environment variables: those of every process can be read in /proc.
"""

from __future__ import annotations

import configparser
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from local.layout import ROOT, Layout, write_private
from local.secret_files import USER, Secrets

MARKER = "ACK_PRELOAD_RUN"  # in the environment of every process that the supervisor starts
TARGETS_VARIABLE = "ACK_PRELOAD_TARGETS"

# The local run must not see keys, settings or proxies that belong to something else.
_FOREIGN = ("AIRFLOW", "ALIBABA_CLOUD_", "ALICLOUD_", "PYTHON", "ACK_PRELOAD_")


@dataclass(frozen=True, slots=True)
class Ports:
    api: int
    logs: int


def airflow_config(layout: Layout, secrets: Secrets, ports: Ports) -> dict[str, dict[str, str]]:
    """Return every option that differs from Airflow's default, by section."""
    url = f"http://127.0.0.1:{ports.api}"
    return {
        "core": _core(secrets, url),
        "api": {
            "host": "127.0.0.1",
            "port": str(ports.api),
            "base_url": url,
            "workers": "1",
            "secret_key": secrets.api_secret_key,
            "instance_name": "ACK preload, local cloud",
        },
        "api_auth": {"jwt_secret": secrets.jwt_secret},
        "database": {
            "sql_alchemy_conn": f"sqlite:///{layout.airflow / 'airflow.db'}",
            "sql_alchemy_connect_args": "local.database.CONNECT_ARGS",
            "sql_alchemy_connect_args_async": "local.database.CONNECT_ARGS",
        },
        "logging": {
            "base_log_folder": str(layout.airflow / "logs"),
            "dag_processor_child_process_log_directory": str(layout.airflow / "logs/dag_processor"),
            "worker_log_server_port": str(ports.logs),
            "trigger_log_server_port": str(ports.logs),
            "colored_console_log": "False",
        },
        "scheduler": {
            # A demo is a chain of short tasks: the pause between two of them is this loop.
            "scheduler_idle_sleep_time": "0.2",
            # Runs are started by hand only: a nightly run that was missed while nothing was up
            # would otherwise start at once, beside the demo's own.
            "use_job_schedule": "False",
        },
        "dag_processor": {"refresh_interval": "30"},
    }


def _core(secrets: Secrets, url: str) -> dict[str, str]:
    return {
        "dags_folder": str(ROOT / "dags"),
        "plugins_folder": str(ROOT / "plugins"),
        "executor": "local.executor.ResumingLocalExecutor",
        "parallelism": "3",  # waiting holds no worker; the default forks 32
        "load_examples": "False",
        "fernet_key": secrets.fernet_key,
        "simple_auth_manager_users": f"{USER}:admin",
        "simple_auth_manager_passwords_file": str(secrets.passwords_file),
        # Set with the port: left at its default, every task would call port 8080.
        "execution_api_server_url": f"{url}/execution/",
        "hostname_callable": "local.loopback.hostname",
    }


def write_airflow_config(
    layout: Layout, secrets: Secrets, ports: Ports, *, changes: Sequence[str] = ()
) -> Path:
    """Write the file.

    :param changes: ``SECTION.OPTION=VALUE`` each, further options or others.
    """
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_dict(airflow_config(layout, secrets, ports))
    for change in changes:
        name, _, value = change.partition("=")
        section, _, option = name.partition(".")
        parser.read_dict({section: {option: value}})
    text = io.StringIO()
    parser.write(text)
    path = layout.airflow / "airflow.cfg"
    # Airflow's own parser interpolates: a per cent sign is written twice.
    write_private(path, text.getvalue().replace("%", "%%"))
    return path


def search_path(layout: Layout) -> str:
    """Return PATH: our environment, what set-up unpacked, the caller's, and root's tools."""
    own = (str(ROOT / ".venv/bin"), str(layout.home / "tools/bin"))
    # Ordinary users of Debian have no sbin on PATH, where sshd, mkfs and ip are.
    return ":".join((*own, os.environ.get("PATH", os.defpath), "/usr/local/sbin:/usr/sbin:/sbin"))


def environment(layout: Layout, token: str) -> dict[str, str]:
    """Return the environment of every process that the supervisor starts."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    loopback = "127.0.0.0/8,127.0.0.1,localhost,198.18.0.0/15"
    return {
        **kept,
        "PATH": search_path(layout),
        "PYTHONPATH": f"{ROOT / 'include'}:{ROOT}",
        "AIRFLOW_HOME": str(layout.airflow),
        TARGETS_VARIABLE: str(layout.targets),
        MARKER: token,
        "SPT_NOENV": "1",  # Airflow renames its processes, which would overwrite the marker
        "NO_PROXY": loopback,
        "no_proxy": loopback,
        # Without it the SDK asks the metadata address of a real instance for credentials.
        "ALIBABA_CLOUD_ECS_METADATA_DISABLED": "true",
    }
