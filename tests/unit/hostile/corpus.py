"""The corpus of hostile texts: read from the files beside it, and made of them for each kind."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
OVERLONG = "x" * 5000


def literal(line: str) -> str:
    quoted = line.replace('"', '\\"')
    return str(ast.literal_eval(f'"{quoted}"'))


def texts(name: str) -> list[str]:
    """Return the texts of a file: one a line, but for those that begin with "# "."""
    lines = (HERE / f"{name}.txt").read_text().splitlines()
    return [literal(line) for line in lines if not line.startswith("# ")]


PAYLOADS = texts("payloads")


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of value: a good one, and what is none of the kind besides a payload in it."""

    good: str
    extras: tuple[str, ...] = ()

    @property
    def hostile(self) -> list[str]:
        around = [text for each in PAYLOADS for text in (self.good + each, each + self.good)]
        bare = [each for each in PAYLOADS if each.strip()]
        return list(dict.fromkeys([*around, *bare, *self.extras, OVERLONG * 2]))


UPWARD = ("..", ".", "../x", "/x", "a/b", "-x", "--help", ".hidden", "_x")
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
KINDS: dict[str, Kind] = {
    "target name": Kind(
        "demo", (*UPWARD, "Demo", "1demo", "demo-", "a", "auto-demo", "aliyun-x", "a_b", "a.b")
    ),
    "pool name": Kind("fast", (*UPWARD, "a.b", "x" * 50)),
    "id": Kind("np0123", (*UPWARD, "x" * 129)),
    "region": Kind("cn-hangzhou", (*UPWARD, "cn", "CN-x", "cn-hangzhou.example.com", "cn_x")),
    "endpoint": Kind(
        "ecs.example.com:443", ("-x", "a..b", "a:b", "http://a", "a/b", "u@a", "a:999999")
    ),
    "address": Kind(
        "192.168.0.7", ("256.1.1.1", "1.2.3", "0x7f.1", "fe80::1%eth0", "-oProxyCommand=x")
    ),
    "url": Kind("http://packages.example.com", tuple(texts("urls"))),
    "version": Kind(
        "1.6.20", ("1.6", "1.6.20.1", "v1.6.20", "latest", "1.6.", "-1.6.20", "1..6", "../1")
    ),
    "kubernetes version": Kind(
        "1.32.1-aliyun.1", ("1.32", "v1.32.1", "1.32.1-", "1.32.1/../x", "latest")
    ),
    "sha256": Kind("0" * 64, ("0" * 63, "0" * 65, "A" * 64, "g" * 64, "sha256:" + "0" * 64)),
    "digest": Kind("sha256:" + "0" * 64, ("0" * 64, "md5:" + "0" * 32, "sha512:" + "0" * 128)),
    "label key": Kind(
        "team", ("/team", "team/", "a/b/c", "-x", "x-", "x" * 64, "ex_ample.com/x", "..")
    ),
    "label value": Kind("blue", ("-x", "x-", "a/b", "x" * 64, ".", "..")),
    "namespace": Kind("default", ("Default", "-x", "x-", "a.b", "a_b", "x" * 64, "..", "a/b")),
    "image type": Kind("AliyunLinux3", ("a-b", "a.b", "..", "-x", "a_b")),
    "mount point": Kind("/mnt/ack-preload", tuple(texts("paths"))),
    "serial": Kind("bp1c0ffee00000000001", ("abc", "x" * 65, "a.b", "../x", "a/b")),
    "job name": Kind("pull_images-0123", (*UPWARD, "x" * 101)),
    "host key": Kind(HOST_KEY, tuple(texts("host_keys"))),
    "image reference": Kind("registry.example.com/acs/pause:3.9", tuple(texts("image_references"))),
}
