from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ack_preload.domain.errors import ForeignResourceError
from ack_preload.domain.tags import (
    EXPIRES_KEY,
    INSTALLATION_KEY,
    MAX_VALUE,
    PRODUCT,
    PRODUCT_KEY,
    RUN_KEY,
    Ownership,
    expiry,
    is_of_installation,
    is_of_run,
    is_ours,
    iso,
    moment,
    refuse_foreign,
    run_tag,
    token,
)

STARTED = datetime(2026, 11, 24, 3, 0, 41, tzinfo=UTC)


def owner(run: str = "dag/run") -> Ownership:
    return Ownership(target="qwen", run=run, expires=STARTED, installation="one")


def test_a_short_run_is_its_own_tag() -> None:
    assert run_tag("build", "manual__2026") == "build/manual__2026"


@given(st.text(max_size=300), st.text(max_size=300))
def test_every_run_tag_fits(dag_id: str, run_id: str) -> None:
    assert len(run_tag(dag_id, run_id)) <= MAX_VALUE


def test_long_runs_that_differ_at_their_end_have_different_tags() -> None:
    assert run_tag("dag", "x" * 200 + "1") != run_tag("dag", "x" * 200 + "2")


def test_the_expiry_is_the_same_however_late_the_try() -> None:
    lifetime = timedelta(hours=6)
    first = expiry(STARTED, lifetime, STARTED)
    assert first == datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
    assert expiry(STARTED, lifetime, STARTED + timedelta(hours=5, minutes=20)) == first


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=9)))
def test_the_cloud_always_takes_the_expiry(age: timedelta) -> None:
    now = STARTED + age
    assert expiry(STARTED, timedelta(hours=1), now) >= now + timedelta(minutes=30)


def test_an_expiry_in_another_zone_is_the_same_moment() -> None:
    there = STARTED.astimezone(timezone(timedelta(hours=8)))
    lifetime = timedelta(hours=1)
    assert expiry(there, lifetime, STARTED) == expiry(STARTED, lifetime, STARTED)


def test_a_lifetime_that_the_cloud_would_refuse_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 0:35:00"):
        expiry(STARTED, timedelta(minutes=30), STARTED)


def test_a_moment_survives_the_tag() -> None:
    assert moment(iso(STARTED)) == STARTED
    assert iso(STARTED) == "2026-11-24T03:00:41Z"


def test_an_unreadable_expiry_is_an_error() -> None:
    with pytest.raises(ValueError, match="does not match"):
        moment("soon")


def test_what_is_made_is_found_by_its_run() -> None:
    tags = owner().tags()
    assert is_ours(tags)
    assert is_of_installation(tags, "one")
    assert is_of_run(tags, "dag/run", "one")
    assert not is_of_run(tags, "dag/other", "one")
    assert not is_of_run(tags, "dag/run", "two")
    assert Ownership.search("dag/run", "one").items() <= tags.items()


@pytest.mark.parametrize(
    ("tags", "why"),
    [
        pytest.param({}, "lacks the tag ack-preload/product; it is not ours", id="not ours"),
        pytest.param(
            {PRODUCT_KEY: PRODUCT},
            "another installation made it; to take it over give it that tag with the value one",
            id="no installation",
        ),
        pytest.param(
            {PRODUCT_KEY: PRODUCT, INSTALLATION_KEY: "two"},
            "belongs to the installation two, and this one is one; to take it over set the extra "
            "installation of the connection to two",
            id="another installation",
        ),
    ],
)
def test_a_foreign_resource_is_refused_with_the_mend(tags: dict[str, str], why: str) -> None:
    with pytest.raises(ForeignResourceError, match=f"disk d-1 .*{why}; rename it"):
        refuse_foreign("disk d-1", tags, "one", "rename it")


def test_what_this_installation_made_is_not_refused() -> None:
    refuse_foreign("disk d-1", owner().tags(), "one")


def test_what_is_kept_on_purpose_has_no_expiry() -> None:
    kept = Ownership(target="qwen", run="dag/run", expires=None, installation="one")
    assert EXPIRES_KEY not in kept.tags()
    assert EXPIRES_KEY in owner().tags()


@pytest.mark.parametrize(
    "tags",
    [
        pytest.param({}, id="no tags"),
        pytest.param({RUN_KEY: "dag/run"}, id="a run, but not our product"),
        pytest.param({PRODUCT_KEY: "another"}, id="another product"),
    ],
)
def test_nothing_else_is_ours(tags: dict[str, str]) -> None:
    assert not is_ours(tags)
    assert not is_of_run(tags, "dag/run", "one")


def test_a_token_fits_and_tells_apart() -> None:
    assert len(token("dag", "run", 1)) == 64
    assert token("dag", "run", 1) == token("dag", "run", 1)
    assert token("dag", "run", 1) != token("dag", "run", 2)
