"""Run by the Python of requirements-compose.txt: say what that Airflow knows, as JSON."""

from __future__ import annotations

import json
import sys

from airflow.cli.cli_parser import get_parser
from airflow.configuration import conf
from airflow.providers.celery.executors.celery_executor import CeleryExecutor
from airflow.providers_manager import ProvidersManager


def commands() -> list[str]:
    """Return every command and subcommand, such as ``celery worker``."""
    found = []
    for name, parser in _choices(get_parser()).items():
        found += [name, *(f"{name} {nested}" for nested in _choices(parser))]
    return found


def _choices(parser: object) -> dict[str, object]:
    subparsers = getattr(parser, "_subparsers", None)
    groups = subparsers._group_actions if subparsers else []
    return dict(groups[0].choices) if groups else {}


def main() -> None:
    ProvidersManager().initialize_providers_configuration()
    options = {
        f"AIRFLOW__{section}__{option}".upper()
        for section, known in conf.configuration_description.items()
        for option in known["options"]
    }
    auth_manager = conf.getimport("core", "auth_manager")
    facts = {
        "commands": commands(),
        "options": sorted(options),
        "executor": CeleryExecutor.__name__,
        "auth_manager": auth_manager.__name__,
    }
    json.dump(facts, sys.stdout)


if __name__ == "__main__":
    main()
