"""The key of a run: the same everywhere, of that run only, and never shown."""

from __future__ import annotations

import dataclasses
from io import StringIO

import paramiko
import pytest

from ack_preload.domain.errors import InvalidInputError
from ack_preload.hooks.account import Account
from ack_preload.hooks.run_key import run_key

ACCOUNT = Account("conn", "cn-hangzhou", access_key_id="id", access_key_secret="marker-secret")


def test_the_same_run_has_the_same_key() -> None:
    # The private half is written with a random check number each time.
    assert run_key(ACCOUNT, "dag", "run").public == run_key(ACCOUNT, "dag", "run").public


@pytest.mark.parametrize(
    ("account", "dag_id", "run_id"),
    [
        pytest.param(ACCOUNT, "dag", "other", id="run"),
        pytest.param(ACCOUNT, "other", "run", id="dag"),
        pytest.param(
            dataclasses.replace(ACCOUNT, access_key_secret="another"), "dag", "run", id="secret"
        ),
        pytest.param(dataclasses.replace(ACCOUNT, ssh_seed="seed"), "dag", "run", id="seed"),
    ],
)
def test_anything_else_has_another_key(account: Account, dag_id: str, run_id: str) -> None:
    assert run_key(account, dag_id, run_id).public != run_key(ACCOUNT, "dag", "run").public


def test_the_seed_alone_is_enough() -> None:
    account = Account("conn", "cn-hangzhou", ssh_seed="seed")
    assert run_key(account, "dag", "run").public.startswith("ssh-ed25519 ")


def test_without_secret_and_seed_the_mend_is_named() -> None:
    with pytest.raises(InvalidInputError, match=r"connection conn .* add ssh_secret"):
        run_key(Account("conn", "cn-hangzhou"), "dag", "run")


def test_both_halves_belong_together() -> None:
    key = run_key(ACCOUNT, "dag", "run")
    loaded = paramiko.Ed25519Key.from_private_key(StringIO(key.private))
    assert key.public == f"ssh-ed25519 {loaded.get_base64()}"


def test_the_private_half_and_the_secret_are_never_shown() -> None:
    shown = repr(run_key(ACCOUNT, "dag", "run")) + repr(ACCOUNT)
    assert "PRIVATE" not in shown
    assert "marker-secret" not in shown
