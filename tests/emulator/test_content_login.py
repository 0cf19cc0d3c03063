"""The registry that wants a login, as the real one serves it."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from emulator.content.images import build_content
from emulator.content.login import Login, unauthorized
from emulator.content.registry import RegistryProcess, digests
from tests.emulator.registries import ACCEPT, NEEDS, SCALE, free_port

pytestmark = [pytest.mark.slow, NEEDS]


def test_the_private_registry_answers_401_as_the_paper_one_does(
    tmp_path: Path,
) -> None:
    content = build_content(tmp_path, SCALE)
    login = Login()
    server = RegistryProcess(
        content.private_storage,
        "127.0.0.1",
        free_port(),
        None,
        tmp_path / "private.log",
        login=login,
    )
    repository, _, tag = content.private_image.rpartition(":")
    path = f"/v2/{repository}/manifests/{tag}"
    url = f"http://{server.address}:{server.port}{path}"
    server.start()
    try:
        wrong = Login(login.username, "wrong").basic
        refused = [httpx.get(url), httpx.get(url, headers={"Authorization": wrong})]
        opened = httpx.get(url, headers={"Authorization": login.basic, "Accept": ACCEPT})
    finally:
        server.stop()
    headers, body = unauthorized(path)
    for answer in refused:
        assert (answer.status_code, answer.content) == (401, body)
        assert {name: answer.headers[name] for name in headers} == headers
    assert (
        opened.headers["Docker-Content-Digest"]
        == digests(content.private_storage)[content.private_image]
    )
    assert login.password not in server.log.read_text()
    assert server.log.with_suffix(".htpasswd").stat().st_mode & 0o777 == 0o600
