"""What the gateway refuses before it looks at the call."""

from __future__ import annotations

import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from emulator.app import Handle
from tests.emulator.signer import call, send, signature_of, signed_headers

REGIONS = {"x-acs-action": "DescribeRegions", "x-acs-version": "2014-05-26"}


def code(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["Code"]


def test_a_signed_call_is_answered(quiet_cloud: Handle) -> None:
    answer = call(quiet_cloud.facts, "DescribeRegions")
    assert answer.status_code == 200
    assert answer.headers["x-acs-request-id"] == answer.json()["RequestId"]
    assert answer.headers["content-type"] == "application/json"


def test_an_unsigned_call_is_refused(quiet_cloud: Handle) -> None:
    answer = send(quiet_cloud.facts, dict(REGIONS))
    assert code(answer) == (400, "IncompleteSignature")
    assert set(answer.json()) == {"RequestId", "HostId", "Code", "Message", "Recommend"}


def test_an_unsigned_ack_call_is_refused_in_acks_own_form(quiet_cloud: Handle) -> None:
    answer = send(quiet_cloud.facts, {"x-acs-version": "2015-12-15"}, path="/clusters/c")
    assert answer.json()["code"] == "IncompleteSignature"
    assert set(answer.json()) == {"code", "message", "requestId", "status"}


@pytest.mark.parametrize(
    "authorization",
    ["x", "Bearer x", "ACS3-HMAC-SHA256 x", "acs a:b", "ACS3-HMAC-SHA256 Credential=,Signature="],
)
def test_another_kind_of_authorization_is_refused(quiet_cloud: Handle, authorization: str) -> None:
    answer = send(quiet_cloud.facts, REGIONS | {"Authorization": authorization})
    assert code(answer) == (400, "IncompleteSignature")


def test_an_unknown_key_is_not_found(quiet_cloud: Handle) -> None:
    facts = quiet_cloud.facts | {"access_key_id": "LTAI5unknown"}
    assert code(call(facts, "DescribeRegions")) == (404, "InvalidAccessKeyId.NotFound")


def test_a_wrong_secret_does_not_match(quiet_cloud: Handle) -> None:
    facts = quiet_cloud.facts | {"access_key_secret": "wrong"}
    answer = call(facts, "DescribeRegions")
    assert code(answer) == (400, "SignatureDoesNotMatch")
    assert quiet_cloud.facts["access_key_secret"] not in answer.text


def test_a_changed_query_does_not_match(quiet_cloud: Handle) -> None:
    headers = signed_headers(quiet_cloud.facts, REGIONS)
    answer = send(quiet_cloud.facts, headers, query={"RegionId": "cn-hangzhou"})
    assert code(answer) == (400, "SignatureDoesNotMatch")


def test_a_changed_body_does_not_match(quiet_cloud: Handle) -> None:
    headers = signed_headers(quiet_cloud.facts, REGIONS, body=b"a=1")
    answer = send(quiet_cloud.facts, headers, body=b"a=2")
    assert code(answer) == (400, "SignatureDoesNotMatch")


@pytest.mark.parametrize("name", ["x-acs-action", "x-acs-date"])
def test_what_matters_must_be_signed(quiet_cloud: Handle, name: str) -> None:
    fields = {key: value for key, value in REGIONS.items() if key != name}
    headers = signed_headers(quiet_cloud.facts, fields)
    headers["Authorization"] = headers["Authorization"].replace(f"{name};", "")
    answer = send(quiet_cloud.facts, headers | REGIONS)
    assert code(answer) == (400, "IncompleteSignature")


@pytest.mark.parametrize("minutes", [-16, 16])
def test_a_date_16_minutes_off_has_expired(quiet_cloud: Handle, minutes: int) -> None:
    date = datetime.now(UTC) + timedelta(minutes=minutes)
    answer = call(quiet_cloud.facts, "DescribeRegions", headers={"x-acs-date": f"{date:%FT%TZ}"})
    assert code(answer) == (400, "InvalidTimeStamp.Expired")


@pytest.mark.parametrize("date", ["", "now", "2026-13-45T99:99:99Z", "2026-11-25 02:00:00"])
def test_a_date_that_is_none_has_expired(quiet_cloud: Handle, date: str) -> None:
    answer = call(quiet_cloud.facts, "DescribeRegions", headers={"x-acs-date": date})
    assert code(answer) == (400, "InvalidTimeStamp.Expired")


def test_a_moved_clock_of_the_cloud_does_not_refuse_its_clients(cloud_handle: Handle) -> None:
    cloud_handle.advance(86_400)
    assert call(cloud_handle.facts, "DescribeRegions").status_code == 200


def test_a_nonce_is_used_once(quiet_cloud: Handle) -> None:
    headers = signed_headers(quiet_cloud.facts, REGIONS)
    assert send(quiet_cloud.facts, headers).status_code == 200
    assert code(send(quiet_cloud.facts, headers)) == (400, "SignatureNonceUsed")


def test_a_call_without_nonce_is_refused(quiet_cloud: Handle) -> None:
    answer = call(quiet_cloud.facts, "DescribeRegions", headers={"x-acs-signature-nonce": ""})
    assert code(answer) == (400, "IncompleteSignature")


def test_temporary_credentials_are_not_emulated(quiet_cloud: Handle) -> None:
    answer = call(quiet_cloud.facts, "DescribeRegions", headers={"x-acs-security-token": "t"})
    assert code(answer) == (400, "EmulatorUnsupported")


def resigned(handle: Handle, names: list[str], **sent: str) -> requests.Response:
    """Send a call whose signature covers the named headers, in the order given."""
    headers = signed_headers(handle.facts, REGIONS)
    del headers["Authorization"]
    headers |= {name.replace("_", "-"): value for name, value in sent.items()}
    signature = signature_of(handle.facts, headers, names)
    credential = f"Credential={handle.facts['access_key_id']},SignedHeaders={';'.join(names)}"
    headers["Authorization"] = f"ACS3-HMAC-SHA256 {credential},Signature={signature}"
    return send(handle.facts, headers)


MUST = (
    "host",
    "x-acs-action",
    "x-acs-content-sha256",
    "x-acs-date",
    "x-acs-signature-nonce",
    "x-acs-version",
)


def test_a_signature_over_what_must_be_signed_is_enough(quiet_cloud: Handle) -> None:
    assert resigned(quiet_cloud, list(MUST)).status_code == 200


@pytest.mark.parametrize("absent", MUST)
def test_each_header_that_must_be_signed_is_missed(quiet_cloud: Handle, absent: str) -> None:
    answer = resigned(quiet_cloud, [name for name in MUST if name != absent])
    assert code(answer) == (400, "IncompleteSignature")
    assert absent in answer.json()["Message"]


@pytest.mark.parametrize(
    ("names", "sent"),
    [
        pytest.param(list(reversed(MUST)), {}, id="not sorted"),
        pytest.param(["host", *MUST], {}, id="one twice"),
        pytest.param(["Host", *MUST[1:]], {}, id="in upper case"),
        pytest.param([*MUST, "x-nobody-sent"], {}, id="one that was not sent"),
        pytest.param(list(MUST), {"x_acs_more": "1"}, id="one of the API's not signed"),
    ],
)
def test_a_list_of_signed_headers_that_can_be_read_in_two_ways_is_refused(
    quiet_cloud: Handle, names: list[str], sent: dict[str, str]
) -> None:
    assert code(resigned(quiet_cloud, names, **sent)) == (400, "IncompleteSignature")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        pytest.param("x-acs-action", "DescribeZones", "SignatureDoesNotMatch", id="action"),
        pytest.param("x-acs-version", "2015-12-15", "SignatureDoesNotMatch", id="version"),
        pytest.param("x-acs-signature-nonce", "other", "SignatureDoesNotMatch", id="nonce"),
        pytest.param("x-acs-content-sha256", "0" * 64, "SignatureDoesNotMatch", id="hash"),
        pytest.param("x-acs-content-sha256", "", "SignatureDoesNotMatch", id="no hash"),
        pytest.param("host", "elsewhere:80", "SignatureDoesNotMatch", id="host"),
    ],
)
def test_a_header_changed_after_signing_does_not_match(
    quiet_cloud: Handle, name: str, value: str, expected: str
) -> None:
    headers = signed_headers(quiet_cloud.facts, REGIONS) | {name: value}
    body = send(quiet_cloud.facts, headers).json()
    assert (body.get("Code") or body["code"]) == expected


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(lambda text: text[:-1], "SignatureDoesNotMatch", id="short"),
        pytest.param(lambda text: f"{text[:-4]}0000", "SignatureDoesNotMatch", id="other end"),
        pytest.param(lambda text: text.upper(), "IncompleteSignature", id="upper case"),
        pytest.param(lambda text: f"{text}, {text}", "IncompleteSignature", id="twice"),
        pytest.param(lambda text: f"ACS4{text[4:]}", "IncompleteSignature", id="another algorithm"),
        pytest.param(
            lambda text: text.partition(",Signature=")[0], "IncompleteSignature", id="none"
        ),
        pytest.param(lambda text: text.replace(",", ", "), "IncompleteSignature", id="spaces"),
    ],
)
def test_a_changed_authorization_is_refused(
    quiet_cloud: Handle, change: Callable[[str], str], expected: str
) -> None:
    headers = signed_headers(quiet_cloud.facts, REGIONS)
    headers["Authorization"] = change(headers["Authorization"])
    assert code(send(quiet_cloud.facts, headers)) == (400, expected)


@pytest.mark.parametrize(
    "how", [{"method": "GET"}, {"path": "/x"}, {"body": b"A=1"}], ids=["method", "path", "body"]
)
def test_a_call_changed_after_signing_does_not_match(
    quiet_cloud: Handle, how: dict[str, Any]
) -> None:
    headers = signed_headers(quiet_cloud.facts, REGIONS)
    answer = send(quiet_cloud.facts, headers, **how)
    assert code(answer) == (400, "SignatureDoesNotMatch")


def test_a_header_twice_is_not_the_one_that_was_signed(quiet_cloud: Handle) -> None:
    headers = signed_headers(quiet_cloud.facts, REGIONS)
    host, _, port = quiet_cloud.facts["ecs_endpoint"].partition(":")
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        twice = "x-acs-action: DeleteInstance\r\n"
        connection.sendall(f"POST / HTTP/1.1\r\n{lines}{twice}Connection: close\r\n\r\n".encode())
        told = b"".join(iter(lambda: connection.recv(65536), b""))
    assert b"SignatureDoesNotMatch" in told


@pytest.mark.parametrize("minutes", [-14, 14])
def test_a_date_14_minutes_off_is_taken(quiet_cloud: Handle, minutes: int) -> None:
    date = datetime.now(UTC) + timedelta(minutes=minutes)
    answer = call(quiet_cloud.facts, "DescribeRegions", headers={"x-acs-date": f"{date:%FT%TZ}"})
    assert answer.status_code == 200


def test_a_refused_call_does_not_use_its_nonce_up(quiet_cloud: Handle) -> None:
    """Else whoever guesses a nonce could keep its owner's call from being made."""
    headers = signed_headers(quiet_cloud.facts, REGIONS)
    forged = headers | {"Authorization": headers["Authorization"][:-4] + "0000"}
    assert code(send(quiet_cloud.facts, forged)) == (400, "SignatureDoesNotMatch")
    assert send(quiet_cloud.facts, headers).status_code == 200
