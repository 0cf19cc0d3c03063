"""The host key of a machine is one ed25519 key by its grammar, or refused."""

from __future__ import annotations

import base64

import pytest

from ack_preload.domain.errors import InvalidInputError
from ack_preload.domain.host_key import HEAD, host_key
from ack_preload.hooks.host import Host

BODY = base64.b64encode(HEAD + bytes(range(32))).decode()
KEY = f"ssh-ed25519 {BODY}"


@pytest.mark.parametrize("text", [KEY, f"{KEY}\n", f"{KEY} root@new-node 2026\n"], ids=repr)
def test_one_key_is_read_without_its_comment(text: str) -> None:
    assert host_key(text) == KEY


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        f"{KEY}\n{KEY}\n",
        f"\n{KEY}\n",
        f"{KEY}\r\n",
        f" {KEY}",
        f"10.0.0.1 {KEY}",
        f"ssh-rsa {BODY}",
        f"ssh-ed25519  {BODY}",
        KEY[:-4],
        f"{KEY}AAAA",
        "ssh-ed25519 " + base64.b64encode(HEAD[:-1] + b"!" + bytes(32)).decode(),
        "ssh-ed25519 " + "=" * 68,
        "ssh-ed25519 $(id)",
        f"{KEY} \x1b[2J",
        f"{KEY} b\xe4r",
        f"{KEY} {'x' * 500}",
        "-----BEGIN OPENSSH PRIVATE KEY-----",
    ],
    ids=lambda text: repr(text[:40]),
)
def test_anything_else_is_refused_and_shown_short(text: str) -> None:
    with pytest.raises(InvalidInputError, match="it must be one line") as caught:
        host_key(text)
    assert len(str(caught.value)) < 400


def test_a_host_of_a_trigger_of_another_version_is_read() -> None:
    old = {"address": "10.0.0.1", "host_key": None, "job": "pull", "fingerprint": "x"}
    assert Host.from_mapping(old) == Host("10.0.0.1")
    host = Host("10.0.0.1", "dag", "run", KEY, "i-1")
    assert Host.from_mapping(host.as_dict()) == host
