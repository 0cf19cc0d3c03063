"""The trigger's loop against scripted looks. What real probes see is in tests/emulated."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ack_preload.domain.errors import (
    CloudError,
    CloudUnavailableError,
    ForeignResourceError,
    ThrottledError,
    UnclearReplyError,
)
from ack_preload.domain.waits import ABSENT, WAITS, Wait
from ack_preload.triggers import state
from ack_preload.triggers.probes import (
    PROBES,
    Look,
    Observation,
    Probe,
    Shared,
    Subject,
    each_look,
)
from ack_preload.triggers.state import LONGEST_PAUSE, StateTrigger

Scripted = list[Observation | Exception]
SCRIPT: Scripted = []
OPENED: list[str] = []


@asynccontextmanager
async def scripted(conn_id: str) -> AsyncIterator[Probe]:
    """Open a probe that sees what the test wrote into SCRIPT, the last line for ever."""
    OPENED.append(conn_id)

    async def look(subject: Subject) -> Observation:
        seen = SCRIPT.pop(0) if len(SCRIPT) > 1 else SCRIPT[0]
        if isinstance(seen, Exception):
            raise seen
        return seen

    yield look


@pytest.fixture(autouse=True)
def wait(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Add a wait of the test's own to the tables."""
    monkeypatch.setitem(PROBES, "scripted", Look(f"{__name__}:scripted", "thing_id"))
    monkeypatch.setitem(
        WAITS,
        "scripted",
        Wait(frozenset({"done"}), frozenset({"bad"}), timedelta(seconds=5), timedelta(hours=1)),
    )
    yield
    SCRIPT.clear()
    OPENED.clear()


def trigger(*, seconds: float = 60, every_s: float | None = 0.001) -> StateTrigger:
    return StateTrigger(
        wait="scripted",
        subject={"thing_id": "t-1"},
        conn_id="conn",
        deadline=(datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(),
        every_s=every_s,
        visible_within_s=0.005,
    )


async def event(sent: StateTrigger) -> dict[str, Any]:
    """Run the trigger as the triggerer does: rebuilt from what was serialized."""
    _, kwargs = sent.serialize()
    (only,) = [event.payload async for event in StateTrigger(**kwargs).run()]
    found: dict[str, Any] = only
    return found


async def test_it_looks_until_the_state_is_done() -> None:
    SCRIPT.extend([Observation("going"), Observation("going"), Observation("done", {"n": 1})])
    assert await event(trigger()) == {
        "verdict": "done",
        "state": "done",
        "id": "t-1",
        "detail": {"n": 1},
        "subject": {"thing_id": "t-1"},
    }
    assert OPENED == ["conn"]


async def test_a_failed_state_ends_it() -> None:
    SCRIPT.append(Observation("bad"))
    assert (await event(trigger()))["verdict"] == "failed"


async def test_the_deadline_ends_it_with_what_was_seen_last() -> None:
    SCRIPT.append(Observation("going"))
    ended = await event(trigger(seconds=0.02))
    assert (ended["verdict"], ended["state"]) == ("pending", "going")


async def test_it_looks_once_even_past_the_deadline() -> None:
    SCRIPT.append(Observation("done"))
    assert (await event(trigger(seconds=-3600)))["verdict"] == "done"


async def test_what_was_there_and_is_gone_has_failed() -> None:
    SCRIPT.extend([Observation(ABSENT), Observation("going"), Observation(ABSENT)])
    ended = await event(trigger())
    assert (ended["verdict"], ended["state"]) == ("failed", ABSENT)


async def test_one_look_that_does_not_show_what_was_seen_fails_nothing() -> None:
    """A replica that lags answered it."""
    SCRIPT.extend([Observation("going"), Observation(ABSENT), Observation("going")])
    SCRIPT.extend([Observation(ABSENT), Observation("done")])
    sent = trigger()
    sent.visible_within_s = 60
    assert (await event(sent))["verdict"] == "done"


async def test_looks_that_failed_do_not_begin_an_absence_anew() -> None:
    unclear = UnclearReplyError("no route")
    SCRIPT.extend([Observation("going"), Observation(ABSENT), unclear, Observation(ABSENT)])
    ended = await event(trigger())
    assert (ended["verdict"], ended["state"]) == ("failed", ABSENT)


@pytest.mark.parametrize(
    "error",
    [
        ThrottledError("Throttling.User", "", request_id="1", retry_after_s=0.001),
        CloudUnavailableError("ServiceUnavailable", "", request_id="1"),
        UnclearReplyError("no route"),
    ],
)
async def test_a_look_that_failed_is_tried_again(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    SCRIPT.extend([error, Observation("done")])
    assert (await event(trigger()))["verdict"] == "done"
    assert "Could not look at t-1, waiting on" in capsys.readouterr().out


async def test_a_deadline_without_any_look_says_so() -> None:
    SCRIPT.append(UnclearReplyError("no route"))
    ended = await event(trigger(seconds=0.02))
    assert (ended["verdict"], ended["state"]) == ("pending", "unknown: no look succeeded")


async def test_a_look_that_never_comes_back_does_not_hold_up_the_deadline(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @asynccontextmanager
    async def silent(conn_id: str) -> AsyncIterator[Probe]:
        async def look(subject: Subject) -> Observation:
            await asyncio.Event().wait()
            raise AssertionError("it came back")

        yield look

    monkeypatch.setattr(state, "LAST_LOOK_S", 0.01)
    monkeypatch.setitem(PROBES, "scripted", Look(f"{__name__}:silent", "thing_id"))
    monkeypatch.setattr(sys.modules[__name__], "silent", silent, raising=False)
    ended = await event(trigger(seconds=0.02))
    assert (ended["verdict"], ended["state"]) == ("pending", "unknown: no look succeeded")
    assert "no answer by the deadline" in capsys.readouterr().out


async def test_a_refused_look_ends_it_with_the_clouds_own_words() -> None:
    SCRIPT.append(CloudError("Forbidden.RAM", "not allowed", request_id="4F2A"))
    ended = await event(trigger())
    assert ended["verdict"] == "refused"
    assert ended["detail"] == {
        "code": "Forbidden.RAM",
        "message": "not allowed",
        "request_id": "4F2A",
    }


async def test_keys_that_are_no_longer_good_are_read_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A long wait began with keys that were rotated since."""
    monkeypatch.setattr(state, "FRESH_S", 0.0)
    gone = CloudError("InvalidAccessKeyId.NotFound", "no such key", request_id="4F2A")
    SCRIPT.extend([Observation("going"), gone, Observation("done")])
    assert (await event(trigger()))["verdict"] == "done"
    assert OPENED == ["conn", "conn"]


async def test_keys_that_were_just_read_and_are_refused_end_it() -> None:
    SCRIPT.append(CloudError("InvalidAccessKeyId.NotFound", "no such key", request_id="4F2A"))
    assert (await event(trigger()))["verdict"] == "refused"
    assert OPENED == ["conn"]


async def test_another_error_of_ours_ends_it_as_failed() -> None:
    SCRIPT.append(ForeignResourceError("not ours"))
    ended = await event(trigger())
    assert (ended["verdict"], ended["detail"]) == ("failed", {"error": "not ours"})


async def test_progress_is_logged_when_it_is_news(capsys: pytest.CaptureFixture[str]) -> None:
    three = Observation("going", {"progress": {"done": 3, "of": 14, "bytes": 123}})
    SCRIPT.extend([three, three, Observation("done")])
    await event(trigger())
    said = capsys.readouterr().out
    assert said.count("progress: 3 of 14 images, 123 bytes") == 1
    assert said.count("t-1 is done") == 1


@pytest.mark.parametrize(
    ("missed", "shortest", "longest"),
    [(0, 5, 6), (1, 10, 12), (3, 40, 48), (20, 60, 72)],
)
def test_the_pause_grows_with_looks_that_failed(
    missed: int, shortest: float, longest: float
) -> None:
    pause = trigger(every_s=None)._pause(missed, 0.0)
    assert shortest <= pause.total_seconds() <= longest


def test_a_slow_wait_is_not_made_faster_by_failed_looks() -> None:
    assert trigger(every_s=600)._pause(3, 0.0) >= timedelta(seconds=600) > LONGEST_PAUSE


def test_the_pause_that_the_cloud_asks_for_counts() -> None:
    assert trigger()._pause(1, 30.0) >= timedelta(seconds=30)
    assert trigger()._pause(1, 1e12) < timedelta(minutes=20), "days are taken for a mistake"


def test_a_subject_without_name_is_called_by_its_wait() -> None:
    sent = trigger()
    sent.subject = {}
    assert sent.resource == "scripted"


async def test_a_plain_function_can_be_a_probe() -> None:
    async def seen(conn_id: str, subject: Subject) -> Observation:
        return Observation(f"{conn_id}/{subject['thing_id']}")

    async with each_look(seen)("conn") as probe:
        assert not isinstance(probe, Shared)
        assert await probe({"thing_id": "t-1"}) == Observation("conn/t-1")


@pytest.mark.parametrize("name", sorted(WAITS.keys() - {"scripted"}))
def test_every_wait_has_a_probe(name: str) -> None:
    assert name in PROBES
