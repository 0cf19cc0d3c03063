"""Logins of registries: read from connections, checked, and as a machine gets them."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from airflow.sdk._shared.secrets_masker import redact
from cri_api.v1 import api_pb2 as api

from ack_preload.domain.errors import InvalidInputError
from ack_preload.hooks.registry_login import RegistryLogin, for_machine, registry_logins

PASSWORD = 'pä$$ "w0rd" %s\n'


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Any:
    def put(conn_id: str, **fields: Any) -> str:
        whole = {"conn_type": "docker", "login": "robot", "password": PASSWORD, **fields}
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(whole))
        return conn_id

    return put


@pytest.mark.parametrize(
    ("fields", "host"),
    [
        pytest.param({"host": "registry.example.com"}, "registry.example.com", id="name"),
        pytest.param({"host": "10.0.0.5:5000"}, "10.0.0.5:5000", id="host and port"),
        pytest.param({"host": "10.0.0.5", "port": 5000}, "10.0.0.5:5000", id="port of its own"),
        pytest.param({"host": "https://r.example.com/"}, "r.example.com", id="url"),
    ],
)
def test_a_connection_is_a_login_of_its_host(connect: Any, fields: Any, host: str) -> None:
    assert registry_logins([connect("team", **fields)]) == {
        host: RegistryLogin("team", host, "robot", PASSWORD)
    }


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"host": "r", "login": ""}, "connection team has no login"),
        ({"host": "r", "password": ""}, "connection team has no password"),
        ({"host": ""}, "host is ''"),
        ({"host": "http://r.example.com"}, "host is 'http://r.example.com'"),
        ({"host": "r.example.com/team"}, "without path"),
        ({"host": "r.example.com x"}, "host is"),
    ],
)
def test_what_is_no_login_is_refused(connect: Any, fields: Any, message: str) -> None:
    connect("team", **fields)
    with pytest.raises(InvalidInputError, match=message) as caught:
        registry_logins(["team"])
    assert PASSWORD not in str(caught.value)


def test_a_connection_that_is_missing_is_named() -> None:
    with pytest.raises(InvalidInputError, match="there is no connection 'nowhere'"):
        registry_logins(["nowhere"])


def test_two_logins_of_one_registry_are_refused(connect: Any) -> None:
    conn_ids = [connect("one", host="r.example.com"), connect("two", host="https://r.example.com")]
    with pytest.raises(InvalidInputError, match=r"one and two are both for registry r\.example"):
        registry_logins(conn_ids)


@pytest.mark.parametrize("length", [1, 127, 128, 20_000])
def test_a_machine_gets_what_cri_reads(length: int) -> None:
    login = RegistryLogin("team", "r.example.com", "robot", "x" * length)
    host, size, auth = for_machine([login]).decode().split()
    read = api.AuthConfig.FromString(base64.b64decode(auth))
    assert (host, int(size)) == ("r.example.com", read.ByteSize())
    assert (read.username, read.password) == ("robot", "x" * length)
    assert read.server_address == "https://r.example.com"


def test_docker_hub_is_named_by_its_server() -> None:
    read = api.AuthConfig.FromString(RegistryLogin("hub", "docker.io", "a", "b").cri_auth)
    assert read.server_address == "https://registry-1.docker.io"


def test_a_password_is_in_no_repr_and_masked_in_each_of_its_forms(connect: Any) -> None:
    (login,) = registry_logins([connect("team", host="r.example.com")]).values()
    assert PASSWORD not in repr(login)
    for form in (PASSWORD, login.basic, for_machine([login]).decode()):
        assert "***" in str(redact(f"said {form} here"))
