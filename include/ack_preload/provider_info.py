"""The entry point ``apache_airflow_provider``: the connection type with its form.

It is the only way to register one; a plugin cannot. The type is the Alibaba provider's own, with
the same names for the same things, so that one connection serves both. When that provider is
installed too it keeps its hook and its fields, and this one only adds what it lacks: Airflow
takes the first package in the alphabet for each, and warns about the second.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from typing import Any

from ack_preload import __version__

ALIBABA_PROVIDER = "apache-airflow-providers-alibaba"
ALIBABA_HOOK = "airflow.providers.alibaba.cloud.hooks.base_alibaba.AlibabaBaseHook"
ALIBABA_FIELDS = frozenset({"access_key_id", "access_key_secret"})
OUR_HOOK = "ack_preload.hooks.ecs.EcsHook"


def _field(label: str, description: str, **schema: Any) -> dict[str, Any]:
    kinds = [schema.pop("type", "string"), "null"]
    return {"label": label, "description": description, "schema": {"type": kinds, **schema}}


def connection_fields() -> dict[str, dict[str, Any]]:
    """Return the extras of the form, in their order: name to label, description and schema."""
    return {**_where_and_who(), **_ways_and_limits()}


def _where_and_who() -> dict[str, dict[str, Any]]:
    secret = {"format": "password"}
    return {
        "region": _field("Region", "Region id, such as cn-hangzhou. Needed."),
        "access_key_id": _field("AccessKey ID", "When Login is empty.", **secret),
        "access_key_secret": _field("AccessKey Secret", "When Password is empty.", **secret),
        "security_token": _field("Security Token", "For temporary keys (STS).", **secret),
        "ecs_endpoint": _field(
            "ECS Endpoint", "host[:port], without scheme. Empty: the region's own."
        ),
        "cs_endpoint": _field(
            "ACK Endpoint", "host[:port], without scheme. Empty: the region's own."
        ),
        "protocol": _field(
            "Protocol", "http only for a local cloud.", enum=["https", "http"], default="https"
        ),
        "ca": _field("CA File", "Path of a CA certificate. Empty: the system's own."),
        "packages_url": _field(
            "Packages URL",
            "Where nodes find the kubelet package. Empty: the region's internal OSS address.",
        ),
    }


def _ways_and_limits() -> dict[str, dict[str, Any]]:
    return {
        "ssh_conn_id": _field("SSH Connection", "For live nodes. Empty: ack_preload_ssh."),
        "ssh_secret": _field(
            "SSH Secret",
            "Secret that the key pair of each run is derived from. Empty: the AccessKey Secret.",
            format="password",
        ),
        "transport": _field(
            "Transport",
            "How scripts reach machines. Assistant: where the workers have no SSH route to them.",
            enum=["ssh", "assistant"],
            default="ssh",
        ),
        "poll_every_s": _field(
            "Poll Every (s)",
            "Pause between two looks at a resource. Empty: what suits each wait.",
            type="number",
            exclusiveMinimum=0,
        ),
        "calls_per_s": _field(
            "Calls per Second",
            "The most looks that one triggerer sends to the account. Empty: 10.",
            type="number",
            exclusiveMinimum=0,
        ),
        "installation": _field(
            "Installation",
            "Which Airflow this is, where several share the account. Empty: kept in the history.",
            pattern="^[a-z0-9][a-z0-9-]{0,30}$",
        ),
        "visible_within_s": _field(
            "Visible Within (s)",
            "How late the cloud may list what it has made. Empty: 60.",
            type="number",
            exclusiveMinimum=0,
        ),
    }


def _is_installed(package: str) -> bool:
    try:
        distribution(package)
    except PackageNotFoundError:
        return False
    return True


def get_provider_info() -> dict[str, Any]:
    """Describe this package to Airflow."""
    fields, hook = connection_fields(), OUR_HOOK
    if _is_installed(ALIBABA_PROVIDER):
        fields = {name: fields[name] for name in fields if name not in ALIBABA_FIELDS}
        hook = ALIBABA_HOOK
    return {
        "package-name": "ack-preload",
        "name": "ACK preload",
        "description": "Gives new ACK nodes a data disk with their container images on it.",
        "versions": [__version__],
        "connection-types": [
            {
                "connection-type": "alibaba_cloud",
                "hook-class-name": hook,
                "hook-name": "Alibaba Cloud",
                "ui-field-behaviour": {
                    "hidden-fields": ["host", "schema", "port"],
                    "relabeling": {"login": "AccessKey ID", "password": "AccessKey Secret"},
                    "placeholders": {"region": "cn-hangzhou"},
                },
                "conn-fields": fields,
            }
        ],
    }
