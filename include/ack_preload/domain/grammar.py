"""Grammars of ids, addresses, URLs and versions: what is not of its form goes no further.

Each function takes the name of a field and its value, and returns the value as text. Alphabets are
ASCII, ends are ends: no newline, NUL, blank, quote or leading dash gets through, so what passes can
stand in a path, a URL, a tag and an argument alike. Image references have a grammar of their own in
:mod:`ack_preload.domain.images`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

from ack_preload.domain.errors import InvalidInputError

SHOWN = 100

_WORD = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST = rf"{_WORD}(?:\.{_WORD})*\.?"
_PORT = r":[0-9]{1,5}"
HOST = re.compile(_HOST, re.ASCII)
ENDPOINT = re.compile(rf"{_HOST}(?:{_PORT})?", re.ASCII)
# As kubelet_package.sh has it, and without a way up: what it names is put behind it.
HTTP_URL = re.compile(
    rf"https?://{_HOST}(?:{_PORT})?(?:/(?!\.\.?(?:/|$))[A-Za-z0-9._-]+)*/?", re.ASCII
)
IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)
REGION = re.compile(r"[a-z]{2,20}(?:-[a-z0-9]{1,20}){1,4}", re.ASCII)
VERSION = re.compile(r"[0-9]{1,9}\.[0-9]{1,9}\.[0-9]{1,9}", re.ASCII)
# As Alibaba Cloud words them: 1.32.1-aliyun.1
KUBERNETES = re.compile(rf"{VERSION.pattern}(?:[-.][A-Za-z0-9]{{1,30}}){{0,6}}", re.ASCII)
SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
# Airflow's own pattern can be widened; what could end a line or a text cannot be meant.
RUN_ID = re.compile(r"[^\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]{1,250}")
# https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
LABEL_KEY = re.compile(rf"(?:(?=[^/]{{1,253}}/){_WORD}(?:\.{_WORD})*/)?{_LABEL}", re.ASCII)
DNS_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
LABEL_VALUE = re.compile(rf"(?:{_LABEL})?", re.ASCII)


def _grammar(pattern: re.Pattern[str], form: str) -> Callable[[str, Any], str]:
    def parse(field: str, value: Any) -> str:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise _refused(field, value, form)
        return value

    return parse


def _refused(field: str, value: Any, form: str) -> InvalidInputError:
    shown = ascii(value)
    shown = shown if len(shown) <= SHOWN else f"{shown[:SHOWN]}..."
    return InvalidInputError(f"{field} is {shown}; write {form}")


identifier = _grammar(
    IDENTIFIER, "an id of letters, digits, '.', '_' and '-', a letter or digit first"
)
region = _grammar(REGION, "the id of a region, such as cn-hangzhou")
endpoint = _grammar(ENDPOINT, "host or host:port, such as ecs.cn-hangzhou.aliyuncs.com")
http_url = _grammar(HTTP_URL, "http:// or https://, a host, and folders of plain characters")
version = _grammar(VERSION, "three numbers, such as 1.6.36")
kubernetes_version = _grammar(KUBERNETES, "a version such as 1.32.1-aliyun.1")
sha256 = _grammar(SHA256, "64 hexadecimal digits")
digest = _grammar(DIGEST, "sha256: and 64 hexadecimal digits")
run_id = _grammar(RUN_ID, "a run id of Airflow's, on one line")
label_key = _grammar(LABEL_KEY, "a label as Kubernetes has it, such as team or example.com/team")
dns_label = _grammar(DNS_LABEL, "1 to 63 small letters, digits and '-', not at the ends")
label_value = _grammar(LABEL_VALUE, "up to 63 letters, digits, '-', '_' and '.', or nothing")


def address(field: str, value: Any) -> str:
    """Return an IP address, or a host name."""
    try:
        if isinstance(value, str) and "%" not in value:  # a zone may hold anything
            return str(ip_address(value))
    except ValueError:
        pass
    if isinstance(value, str) and HOST.fullmatch(value) and not value[-1:].isdigit():
        return value
    raise _refused(field, value, "an IP address, such as 192.168.0.7, or a host name")
