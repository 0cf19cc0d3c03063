"""What may be sent again, and what an answer of the cloud means. No network: the SDK's own
exceptions are made by hand, as the emulated tests get them from the wire.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

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
from ack_preload.hooks import calls as module
from ack_preload.hooks.calls import look, outcome_of, send, takes_minutes, translated
from ack_preload.hooks.retry_table import ANY_CALL, CALLS, ONCE, READ, TOKEN, Outcome, Row, outcome

HOOKS = Path(module.__file__).parent
READING = "DescribeInstances"
CREATING = "CreateClusterNodePool"


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


# -- every row of the table, through the sending function


def rows() -> Iterator[tuple[str, Row]]:
    for action, call in {**CALLS, READING: READ}.items():
        for row in (*call.rows, *ANY_CALL):
            yield action, row


ROWS = [
    pytest.param(action, code.replace("*", "X") if code.startswith("*") else code, row, id=name)
    for action, row in rows()
    for code in row.codes
    for name in [f"{action}-{code}"]
]


@pytest.mark.parametrize(("action", "code", "row"), ROWS)
def test_every_row_is_what_sending_does(action: str, code: str, row: Row) -> None:
    code = code.rstrip("*") + ("User" if code.endswith(".*") else "")
    request, calls = answers(refusal(code), "second")
    what = row.outcome
    if code in ("ServiceUnavailable", "InternalError"):  # it may have been carried out
        what = Outcome.RETRY if CALLS.get(action, READ).safe else Outcome.ADOPT
    if what is Outcome.RETRY and not row.later:
        assert send(action, request, pace_s=0.0001) == "second"
        assert len(calls) == 2
    elif what is Outcome.DONE:
        assert send(action, request) is None
        assert len(calls) == 1
    else:
        with pytest.raises(CloudError) as refused:
            send(action, request)
        assert len(calls) == 1
        assert outcome_of(action, refused.value) is what
        assert takes_minutes(action, refused.value) is row.later
        # Airflow tries again what may succeed later, and what has to be looked for.
        assert isinstance(refused.value, CloudUnavailableError) is (what is not Outcome.GIVE_UP)


@pytest.mark.parametrize("action", [*CALLS, READING])
@pytest.mark.parametrize("answer", [refusal("Odd", 500), no_answer()], ids=["5xx", "no reply"])
def test_an_unknown_outcome_is_sent_again_where_that_is_safe(
    action: str, answer: TeaException
) -> None:
    request, calls = answers(answer, "second")
    if CALLS.get(action, READ).safe:
        assert send(action, request, pace_s=0.0001) == "second"
        return
    with pytest.raises((CloudUnavailableError, UnclearReplyError)) as unclear:
        send(action, request)
    assert len(calls) == 1, "never blindly: the caller looks first"
    assert outcome_of(action, unclear.value) is Outcome.ADOPT


@pytest.mark.parametrize("action", [*CALLS, READING])
def test_what_no_row_names_is_given_up(action: str) -> None:
    request, calls = answers(refusal("Forbidden.RAM", 403), "second")
    with pytest.raises(CloudError, match=r"Forbidden\.RAM"):
        send(action, request)
    assert len(calls) == 1


def test_every_call_that_changes_something_is_in_the_table() -> None:
    """A call without a place in the table counts as reading, which may always be repeated."""
    sent = {
        action
        for path in HOOKS.glob("*.py")
        for action in re.findall(
            r"_(?:send|read|change)\(\s*\"([A-Z]\w+)\"", path.read_text(), re.MULTILINE
        )
    }
    reading = {action for action in sent if re.match(r"Describe|List|Get", action)}
    assert sent - reading == CALLS.keys()


def test_what_creates_has_a_token_or_is_never_repeated_blindly() -> None:
    for action, call in CALLS.items():
        if call.creates:
            assert call.safe in (TOKEN, ""), action
        else:
            assert call.safe in (TOKEN, ONCE), action


# -- translation


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
    assert type(translated(exc, "DeleteInstance")) is kind


def test_code_message_and_request_id_are_the_clouds_own() -> None:
    assert str(translated(refusal("QuotaExceed"), READING)) == "QuotaExceed: no (request 4F2A)"


def test_the_pause_that_the_cloud_asks_for_is_kept_in_seconds() -> None:
    error = translated(refusal("Throttling", retry_after=1500), READING)
    assert isinstance(error, ThrottledError)
    assert error.retry_after_s == 1.5


def test_an_error_that_is_not_the_clouds_is_given_up() -> None:
    assert outcome_of(READING, PreloadError("x")) is Outcome.GIVE_UP
    assert outcome("RunInstances", "InvalidParameter.Amount", 400) is Outcome.GIVE_UP


# -- sending


def test_a_throttled_call_is_sent_until_it_is_taken() -> None:
    request, calls = answers(refusal("Throttling.User"), refusal("Throttling", 429), "taken")
    assert send(CREATING, request, pace_s=0.001) == "taken"
    assert len(calls) == 3


def test_each_time_that_it_is_sent_is_told_before() -> None:
    request, calls = answers(refusal("Throttling.User"), "taken")
    told: list[int] = []
    send(CREATING, request, pace_s=0.001, before=lambda: told.append(len(calls)))
    assert told == [0, 1]


def test_what_was_just_made_is_not_gone_but_not_there_yet() -> None:
    gone = refusal("InvalidInstanceId.NotFound", 404)
    assert send("DeleteInstance", answers(gone)[0]) is None
    request, calls = answers(gone, gone, "deleted")
    assert send("DeleteInstance", request, pace_s=0.0001, is_young=True) == "deleted"
    assert len(calls) == 3


def test_what_was_just_made_and_stays_unknown_is_an_error_that_airflow_retries() -> None:
    gone = refusal("InvalidInstanceId.NotFound", 404)
    with pytest.raises(CloudUnavailableError):
        send("DeleteInstance", answers(gone)[0], budget_s=0, is_young=True)


def test_the_budget_ends_the_repeating_with_the_last_error() -> None:
    request, calls = answers(*[refusal("Throttling")] * 9)
    with pytest.raises(ThrottledError):
        send(READING, request, pace_s=0.001, budget_s=0)
    assert len(calls) == 1


def test_a_pause_that_the_cloud_asks_for_is_kept_to() -> None:
    request, calls = answers(refusal("Throttling", retry_after=200), "taken")
    assert send(READING, request, pace_s=0.0001) == "taken"
    assert len(calls) == 2


def test_a_pause_beyond_the_budget_is_left_to_airflow() -> None:
    request, calls = answers(refusal("Throttling", retry_after=90_000), "taken")
    with pytest.raises(ThrottledError) as refused:
        send(READING, request, pace_s=0.0001)
    assert len(calls) == 1, "no worker is held for what will not come in time"
    assert refused.value.retry_after_s == 90


async def test_a_trigger_looks_once_and_gets_our_error() -> None:
    async def request() -> str:
        raise refusal("Throttling")

    with pytest.raises(ThrottledError):
        await look(request)


async def test_a_trigger_gets_the_answer() -> None:
    async def request() -> str:
        return "taken"

    assert await look(request) == "taken"
