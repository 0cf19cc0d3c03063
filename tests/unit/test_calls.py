"""What may be sent again, and what an answer of the cloud means. No network: the SDK's own
exceptions are made by hand, as the emulated tests get them from the wire.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from alibabacloud_tea_openapi.exceptions import ClientException, ServerException
from Tea.exceptions import TeaException

from ack_preload.domain.errors import (
    CloudError,
    CloudUnavailableError,
    NotFoundError,
    PreloadError,
    ThrottledError,
    UnclearReplyError,
)
from ack_preload.hooks.calls import CALLS, READ, Call, look, may_repeat, send, translated

TOKENLESS = Call()


def refusal(code: str, status: int = 400, **values: object) -> TeaException:
    kind = ServerException if status >= 500 else ClientException
    return kind(
        code=code,
        status_code=status,
        message=f"code: {status}, no request id: 4F2A",
        request_id="4F2A",
        data={"Code": code, "Message": "no"},
        **values,
    )


def no_answer() -> TeaException:
    return TeaException({"message": "Connection aborted"})


@pytest.mark.parametrize(
    ("exc", "kind"),
    [
        (refusal("Throttling.User"), ThrottledError),
        (refusal("Throttling"), ThrottledError),
        (refusal("Rejected.Throttling", 503), ThrottledError),
        (refusal("ServiceUnavailable", 503), CloudUnavailableError),
        (refusal("InternalError", 500), CloudUnavailableError),
        (refusal("IncorrectInstanceStatus", 403), CloudUnavailableError),
        (refusal("InvalidInstanceId.NotFound", 404), NotFoundError),
        (refusal("ErrorNodePoolNotFound", 404), NotFoundError),
        (refusal("InvalidParameter"), CloudError),
        (no_answer(), UnclearReplyError),
        (refusal("None", 502), UnclearReplyError),
    ],
)
def test_each_answer_has_its_error(exc: TeaException, kind: type[PreloadError]) -> None:
    assert type(translated(exc, READ)) is kind


def test_code_message_and_request_id_are_the_clouds_own() -> None:
    assert str(translated(refusal("QuotaExceed"), READ)) == "QuotaExceed: no (request 4F2A)"


def test_the_pause_that_the_cloud_asks_for_is_kept_in_seconds() -> None:
    error = translated(refusal("Throttling", retry_after=1500), READ)
    assert isinstance(error, ThrottledError)
    assert error.retry_after_s == 1.5


BUSY = CloudUnavailableError("InvalidStatus.Forbidden", "scaling", request_id="1")
BROKEN = CloudUnavailableError("InternalError", "", request_id="1")
SLOWER = ThrottledError("Throttling", "", request_id="1")
LOST = UnclearReplyError("")
REFUSED = CloudError("InvalidParameter", "", request_id="1")


@pytest.mark.parametrize(
    ("error", "action", "repeat"),
    [
        pytest.param(SLOWER, "CreateClusterNodePool", True, id="throttled: nothing was done"),
        pytest.param(BUSY, "CreateClusterNodePool", True, id="busy: nothing was done"),
        pytest.param(BROKEN, "CreateClusterNodePool", False, id="broken: it may have been done"),
        pytest.param(LOST, "CreateClusterNodePool", False, id="lost: it may have been done"),
        pytest.param(LOST, "ImportKeyPair", False, id="a second import is an error"),
        pytest.param(BROKEN, "RunInstances", True, id="a token makes it safe"),
        pytest.param(LOST, "RunInstances", True, id="a token makes it safe, lost"),
        pytest.param(LOST, "ModifyClusterNodePool", True, id="setting twice is setting once"),
        pytest.param(LOST, "DescribeInstances", True, id="reading is safe"),
        pytest.param(REFUSED, "DescribeInstances", False, id="refused for good"),
        pytest.param(ValueError(), "DescribeInstances", False, id="not the cloud's error"),
    ],
)
def test_only_what_is_safe_is_sent_again(error: Exception, action: str, repeat: bool) -> None:
    assert may_repeat(error, CALLS.get(action, READ)) is repeat


def test_what_is_done_already_is_not_sent_again() -> None:
    gone = NotFoundError("InvalidInstanceId.NotFound", "", request_id="1")
    assert not may_repeat(gone, CALLS["DeleteInstance"])


def test_every_call_that_creates_without_token_is_sent_once() -> None:
    assert not CALLS["CreateClusterNodePool"].repeat
    assert not CALLS["ImportKeyPair"].repeat


def answers(*each: str | TeaException) -> tuple[Callable[[], str], list[int]]:
    """Return a request that gives ``each`` in turn, and the list that counts its calls."""
    calls: list[int] = []

    def request() -> str:
        answer = each[len(calls)]
        calls.append(1)
        if isinstance(answer, str):
            return answer
        raise answer

    return request, calls


def test_a_throttled_call_is_sent_until_it_is_taken() -> None:
    request, calls = answers(refusal("Throttling.User"), refusal("Throttling", 429), "taken")
    assert send("CreateClusterNodePool", request, pace_s=0.001) == "taken"
    assert len(calls) == 3


def test_an_unclear_create_is_sent_once() -> None:
    request, calls = answers(no_answer(), "second")
    with pytest.raises(UnclearReplyError, match="Connection aborted"):
        send("CreateClusterNodePool", request, pace_s=0.001)
    assert len(calls) == 1


def test_deleting_what_is_gone_is_done() -> None:
    request, _ = answers(refusal("InvalidInstanceId.NotFound", 404))
    assert send("DeleteInstance", request) is None


def test_the_budget_ends_the_repeating_with_the_last_error() -> None:
    request, calls = answers(*[refusal("Throttling")] * 9)
    with pytest.raises(ThrottledError):
        send("DescribeInstances", request, pace_s=0.001, budget_s=0)
    assert len(calls) == 1


def test_a_pause_that_the_cloud_asks_for_is_kept_to() -> None:
    request, calls = answers(refusal("Throttling", retry_after=1), "taken")
    assert send("DescribeInstances", request, pace_s=0.0001) == "taken"
    assert len(calls) == 2


async def test_a_trigger_looks_once_and_gets_our_error() -> None:
    async def request() -> str:
        raise refusal("Throttling")

    with pytest.raises(ThrottledError):
        await look(request)


async def test_a_trigger_gets_the_answer() -> None:
    async def request() -> str:
        return "taken"

    assert await look(request) == "taken"
