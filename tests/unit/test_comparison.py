"""Small samples are summarised by a named rule, and lost nodes count."""

from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ack_preload.domain.comparison import Arm, Comparison, Spread, quantile

FAST, SLOW = (10.0, 12.0, 11.0), (40.0, 44.0, 42.0)


def arms(**changes: object) -> Comparison:
    fields = {"baseline": Arm("baseline", SLOW), "preloaded": Arm("preloaded", FAST), **changes}
    return Comparison(**fields)  # type: ignore[arg-type]  # a shorthand of this file


@pytest.mark.parametrize(
    ("values", "p", "expected"),
    [
        ([5.0], 0.5, 5.0),
        ([1.0, 2.0], 0.5, 1.5),
        ([1.0, 2.0, 3.0, 4.0], 0.25, 1.75),
        ([3.0, 1.0, 2.0], 0.9, 2.8),
        ([1.0, 2.0], 1.0, 2.0),
        ([1.0, math.inf], 0.5, math.inf),
        ([1.0, 2.0, math.inf], 0.5, 2.0),
    ],
)
def test_quantiles_are_type_7(values: list[float], p: float, expected: float) -> None:
    assert quantile(values, p) == pytest.approx(expected)


@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=50))
def test_quantiles_agree_with_the_inclusive_rule_of_python(values: list[float]) -> None:
    expected = statistics.quantiles(values, n=10, method="inclusive")
    assert [quantile(values, k / 10) for k in range(1, 10)] == pytest.approx(expected)


@pytest.mark.parametrize(("values", "p"), [([], 0.5), ([1.0], 1.5), ([1.0], -0.1)])
def test_a_quantile_that_does_not_exist_is_refused(values: list[float], p: float) -> None:
    with pytest.raises(ValueError, match=r"quantile|p is"):
        quantile(values, p)


def test_the_speedup_is_the_ratio_of_medians() -> None:
    assert arms().speedup == pytest.approx(42 / 11)


def test_a_lost_node_counts_as_slower_than_all_others() -> None:
    spread = Spread.of(FAST, never=1)
    assert (spread.n, spread.median, spread.most, spread.mean) == (4, 11.5, None, None)


def test_an_arm_that_lost_half_of_its_nodes_has_no_median() -> None:
    lost = Arm("preloaded", (10.0,), never_ready=1)
    assert arms(preloaded=lost).speedup is None
    assert "1 of 2 preloaded nodes never got Ready" in " ".join(arms(preloaded=lost).caveats)


def test_losing_a_preloaded_node_never_raises_the_speedup() -> None:
    whole, lost = arms(), arms(preloaded=Arm("preloaded", FAST[:2], never_ready=1))
    assert whole.speedup is not None
    assert lost.speedup is not None
    assert lost.speedup <= whole.speedup


def test_few_values_have_no_90th_percentile() -> None:
    assert Spread.of(FAST).p90 is None
    assert Spread.of([float(n) for n in range(10)]).p90 == pytest.approx(8.1)


def test_empty_arms_are_said_and_break_nothing() -> None:
    empty = Comparison(Arm("baseline", ()), Arm("preloaded", ()))
    assert empty.speedup is None
    assert empty.caveats == ("no baseline node was measured", "no preloaded node was measured")
    assert empty.to_dict()["arms"]["baseline"]["ready"]["median"] is None


def test_one_node_an_arm_is_said() -> None:
    single = arms(baseline=Arm("baseline", (40.0,)))
    assert "n = 1 in the baseline arm" in str(single)


@pytest.mark.parametrize("pulled", [(0, 7), (0, None)], ids=["some bytes", "unknown"])
def test_a_preloaded_node_that_pulled_is_said(pulled: tuple[int | None, ...]) -> None:
    assert "the disk lacks something" in str(
        arms(preloaded=Arm("preloaded", FAST, pulled_bytes=pulled))
    )
    assert "lacks" not in str(arms(preloaded=Arm("preloaded", FAST, pulled_bytes=(0, 0))))


def test_a_latency_that_is_not_positive_gives_no_ratio() -> None:
    assert arms(preloaded=Arm("preloaded", (0.0, 0.0))).speedup is None


def test_the_stored_form_names_the_rule_and_every_point() -> None:
    content = arms(notes=("baseline node 1: Ready flapped",)).to_dict()
    assert content["quantile_rule"].startswith("type 7")
    assert content["arms"]["preloaded"]["ready_latency_s"] == list(FAST)
    assert content["caveats"][0] == "baseline node 1: Ready flapped"
