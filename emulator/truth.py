"""How the answers and errors of an action are known to be those of the real API.

``docs/parity.md`` tells what each kind of source is worth and how to add a recording.
"""

from __future__ import annotations

from dataclasses import dataclass

HELP = "https://www.alibabacloud.com/help/en"
DOCS = "docs"  # the action's own page lists the code with this status
NO_SOURCE = "none: no source"


@dataclass(frozen=True, slots=True)
class FromDocs:
    """States, rules and errors are read from a page; names and types come from the SDK's model."""

    url: str

    def __str__(self) -> str:
        return f"from_docs, {self.url}"


@dataclass(frozen=True, slots=True)
class Recorded:
    """The answer was compared with one of the real cloud, in ``tests/parity/recorded/``."""

    file: str

    def __str__(self) -> str:
        return f"recorded, {self.file}"


@dataclass(frozen=True, slots=True)
class Refusal:
    """One error that an action can answer.

    :param source: ``docs``, another page or program that has it, or that there is none.
    """

    status: int
    code: str
    source: str


@dataclass(frozen=True, slots=True)
class Truth:
    """What is known of one action; ``refusals`` are all errors of its own, none but these."""

    source: FromDocs | Recorded
    refusals: tuple[Refusal, ...] = ()

    def has(self, status: int, code: str) -> bool:
        known = (*self.refusals, *COMMON)
        return any((each.status, each.code) == (status, code) for each in known)


def refusals(source: str, status: int, *codes: str) -> tuple[Refusal, ...]:
    return tuple(Refusal(status, code, source) for code in codes)


def docs(status: int, *codes: str) -> tuple[Refusal, ...]:
    return refusals(DOCS, status, *codes)


# What each action can answer: parameters and idempotency, before its own work. The errors of
# signatures (signing.py) come before an action is known.
COMMON = (
    *refusals("docs: common errors", 400, "MissingParameter", "InvalidParameter"),
    *refusals("the local cloud's own", 400, "EmulatorUnsupported"),
    *refusals("docs: common errors", 404, "InvalidAction.NotFound"),
)
