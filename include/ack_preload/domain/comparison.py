"""Baseline against preloaded: order statistics of two small arms, and what may be said of them.

Quantiles are type 7 of Hyndman and Fan (1996): position ``(n - 1) * p``, linear in between. It is
the default of NumPy, R and spreadsheets, and it is named wherever a figure is printed.

A node that never got Ready is not dropped: it counts as slower than every node that did. So
losing nodes can only make an arm look worse, and a median that falls among them has no value.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

QUANTILE_RULE = "type 7 (Hyndman and Fan 1996)"
# Below this a 90th percentile is the largest value under another name.
ENOUGH_FOR_P90 = 10
BASELINE = "baseline"
PRELOADED = "preloaded"


def quantile(values: Sequence[float], p: float) -> float:
    """Return the type-7 quantile; infinite when it falls on or beside an infinite value.

    :raises ValueError: for no values, or ``p`` outside 0..1.
    """
    if not values:
        raise ValueError("a quantile of no values does not exist")
    if not 0 <= p <= 1:
        raise ValueError(f"p is {p}; it lies within 0 and 1")
    ordered = sorted(values)
    position = (len(ordered) - 1) * p
    below, above = math.floor(position), math.ceil(position)
    if below == above:
        return ordered[below]
    if math.isinf(ordered[above]):
        return math.inf
    share = position - below
    return ordered[below] + share * (ordered[above] - ordered[below])


@dataclass(frozen=True, slots=True)
class Spread:
    """Order statistics of one figure in one arm; ``None`` where the value does not exist."""

    n: int
    never: int
    least: float | None
    median: float | None
    p90: float | None
    most: float | None
    mean: float | None

    @classmethod
    def of(cls, values: Sequence[float], *, never: int = 0) -> Spread:
        """Summarise ``values`` and ``never`` more that lie beyond all of them."""
        whole = [*values, *[math.inf] * never]
        return cls(
            n=len(whole),
            never=never,
            least=_finite(min(whole)) if whole else None,
            median=_finite(quantile(whole, 0.5)) if whole else None,
            p90=_finite(quantile(whole, 0.9)) if len(whole) >= ENOUGH_FOR_P90 else None,
            most=_finite(max(whole)) if whole else None,
            mean=fmean(values) if values and not never else None,
        )

    def to_dict(self) -> dict[str, float | int | None]:
        return {
            "n": self.n,
            "never": self.never,
            "min": self.least,
            "median": self.median,
            "p90": self.p90,
            "max": self.most,
            "mean": self.mean,
        }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


@dataclass(frozen=True, slots=True)
class Arm:
    """What one arm gave, point by point."""

    name: str
    ready_latency_s: tuple[float, ...]
    never_ready: int = 0
    workload_start_s: tuple[float, ...] = ()
    pulled_bytes: tuple[int | None, ...] = ()

    @property
    def n(self) -> int:
        return len(self.ready_latency_s) + self.never_ready

    @property
    def ready(self) -> Spread:
        return Spread.of(self.ready_latency_s, never=self.never_ready)

    @property
    def workload(self) -> Spread:
        """A node that never got Ready never ran the workload either."""
        return Spread.of(self.workload_start_s, never=self.never_ready)

    def to_dict(self) -> dict[str, Any]:
        return {
            "n": self.n,
            "never_ready": self.never_ready,
            "ready_latency_s": list(self.ready_latency_s),
            "workload_start_s": list(self.workload_start_s),
            "pulled_bytes": list(self.pulled_bytes),
            "ready": self.ready.to_dict(),
            "workload": self.workload.to_dict(),
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two arms of one run."""

    baseline: Arm
    preloaded: Arm
    notes: tuple[str, ...] = ()

    @property
    def speedup(self) -> float | None:
        """Ratio of median Ready latencies; above 1 the preloaded arm is faster."""
        return _ratio(self.baseline.ready.median, self.preloaded.ready.median)

    @property
    def workload_speedup(self) -> float | None:
        return _ratio(self.baseline.workload.median, self.preloaded.workload.median)

    @property
    def caveats(self) -> tuple[str, ...]:
        """What a reader must know before quoting the figure."""
        found = [*self.notes]
        for arm in (self.baseline, self.preloaded):
            if arm.never_ready:
                found.append(
                    f"{arm.never_ready} of {arm.n} {arm.name} nodes never got Ready; "
                    "they count as slower than all others"
                )
            if arm.n == 0:
                found.append(f"no {arm.name} node was measured")
            elif arm.n == 1:
                found.append(f"n = 1 in the {arm.name} arm: one node says nothing about spread")
        if self.preloaded.n and any(size is None or size for size in self.preloaded.pulled_bytes):
            found.append("preloaded nodes pulled images, or did not say: the disk lacks something")
        return tuple(found)

    def to_dict(self) -> dict[str, Any]:
        return {
            "quantile_rule": QUANTILE_RULE,
            "arms": {
                BASELINE: self.baseline.to_dict(),
                PRELOADED: self.preloaded.to_dict(),
            },
            "speedup": self.speedup,
            "workload_speedup": self.workload_speedup,
            "caveats": list(self.caveats),
        }

    def __str__(self) -> str:
        return "; ".join([_line(self.baseline), _line(self.preloaded), *self.caveats])


def _ratio(slow: float | None, fast: float | None) -> float | None:
    if slow is None or fast is None or fast <= 0:
        return None
    return slow / fast


def _line(arm: Arm) -> str:
    median = arm.ready.median
    shown = "no median" if median is None else f"median {median:.1f} s"
    return f"{arm.name}: created -> Ready {shown} (n = {arm.n}, {QUANTILE_RULE})"
