"""Tags that tie each resource to its target, its run and its expiry; and idempotency tokens.

The limits are ECS's: 20 tags a resource, keys of 128 and values of 128 characters, no key that
starts with ``aliyun`` or ``acs:``.
https://www.alibabacloud.com/help/en/ecs/user-guide/create-and-bind-a-tag
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ack_preload.domain.errors import ForeignResourceError

PRODUCT_KEY = "ack-preload/product"
INSTALLATION_KEY = "ack-preload/installation"
TARGET_KEY = "ack-preload/target"
RUN_KEY = "ack-preload/run"
EXPIRES_KEY = "ack-preload/expires"
PURPOSE_KEY = "ack-preload/purpose"
BUILD = "build"
"""The purpose of a build instance: the only kind of instance that is ours to delete directly."""
CLUSTER_KEY = "ack-preload/cluster"  # on a snapshot: the cluster whose node pools may need it
# On a node pool that an earlier run made and this one changed: who changed it, and what to.
APPLIED_KEY = "ack-preload/applied-by"
PREVIOUS_KEY = "ack-preload/previous-snapshot"
# On a snapshot that was recorded as good: the image lock that its sealed disk holds. The history
# can be lost or be another Airflow's; what the snapshot says of itself goes with it.
SEALED_KEY = "ack-preload/sealed"
PRODUCT = "ack-preload"

MAX_VALUE = 128
NOT_IN_TAGS = re.compile(r"[^A-Za-z0-9_.~:+/-]|//+", re.ASCII)
"""Airflow's run ids have none of it by default. ``//`` would make a URL, which no tag may hold."""
DIGEST_CHARS = 12  # enough to tell runs apart, short enough to leave the name readable

EARLIEST_RELEASE = timedelta(minutes=30)
"""ECS refuses an ``AutoReleaseTime`` that is nearer than this."""
RELEASE_MARGIN = timedelta(minutes=5)
"""For the way to the cloud, clocks that differ, and seconds that ECS cuts off."""


def run_tag(dag_id: str, run_id: str) -> str:
    """Return ``dag_id/run_id`` as a tag may have it.

    What is too long is cut, what a tag cannot hold is replaced, and then a hash of the whole ends
    the tag, which has ``MAX_VALUE`` characters by that.
    """
    whole = f"{dag_id}/{run_id}"
    if len(whole) <= MAX_VALUE and not NOT_IN_TAGS.search(whole):
        return whole
    digest = hashlib.sha256(whole.encode(errors="surrogatepass")).hexdigest()[:DIGEST_CHARS]
    width = MAX_VALUE - DIGEST_CHARS - 1
    return f"{NOT_IN_TAGS.sub('_', whole)[:width]:_<{width}}-{digest}"


def expiry(started: datetime, lifetime: timedelta, now: datetime) -> datetime:
    """Return when a resource of the run that ``started`` expires, in whole minutes.

    The same for every try: it is counted from the start of the run, never from ``now``, which
    would change the parameters of a repeated create call. ``now`` only matters for a run that
    has outlived ``lifetime``: then whole lifetimes are added until ECS takes the moment.

    :raises ValueError: for a lifetime that ECS would refuse.
    """
    earliest = EARLIEST_RELEASE + RELEASE_MARGIN
    if lifetime < earliest:
        raise ValueError(f"lifetime is {lifetime}; at least {earliest} is needed")
    moment = started.astimezone(UTC).replace(second=0, microsecond=0) + lifetime
    while moment < now + earliest:
        moment += lifetime
    return moment


def iso(moment: datetime) -> str:
    """Return the moment as ECS wants it: ``2026-11-24T04:00:00Z``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(text: str) -> datetime:
    """Parse what :func:`iso` wrote. An unreadable expiry is an error, never "not expired"."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Ownership:
    """Whose a resource is. Written as tags by every create call, read before every delete."""

    target: str
    run: str
    expires: datetime | None
    """``None`` for what is kept on purpose, such as a node pool in use: it has no expiry tag."""
    installation: str
    """Which Airflow made it: several may work on one account, with runs of the same name."""

    def tags(self) -> dict[str, str]:
        tags = self.search(self.run, self.installation) | {TARGET_KEY: self.target}
        return tags | {EXPIRES_KEY: iso(self.expires)} if self.expires else tags

    @staticmethod
    def search(run: str, installation: str) -> dict[str, str]:
        """Return the tags by which everything of a run is found."""
        return {PRODUCT_KEY: PRODUCT, INSTALLATION_KEY: installation, RUN_KEY: run}


def is_ours(tags: Mapping[str, str]) -> bool:
    """Tell whether this project made the resource, in this installation or another."""
    return tags.get(PRODUCT_KEY) == PRODUCT


def is_of_installation(tags: Mapping[str, str], installation: str) -> bool:
    """Tell whether this installation made the resource. Nothing else may ever be deleted."""
    return is_ours(tags) and tags.get(INSTALLATION_KEY) == installation


def is_of_run(tags: Mapping[str, str], run: str, installation: str) -> bool:
    return is_of_installation(tags, installation) and tags.get(RUN_KEY) == run


def refuse_foreign(what: str, tags: Mapping[str, str], installation: str, mend: str = "") -> None:
    """Raise unless this installation made the resource.

    :param what: kind, id and name, such as ``node pool np1 (preloaded)``.
    :param mend: what else a person can do, such as choosing another name.
    :raises ForeignResourceError: saying whose it is, and how to take it over.
    """
    if is_of_installation(tags, installation):
        return
    other = tags.get(INSTALLATION_KEY)
    if not is_ours(tags):
        why, take_over = f"lacks the tag {PRODUCT_KEY}; it is not ours", ""
    elif other:
        why = f"belongs to the installation {other}, and this one is {installation}"
        take_over = f"to take it over set the extra installation of the connection to {other}"
    else:
        why = f"lacks the tag {INSTALLATION_KEY}, so another installation made it"
        take_over = f"to take it over give it that tag with the value {installation}"
    raise ForeignResourceError("; ".join(filter(None, (f"{what} {why}", take_over, mend))))


def sealed_tags(lock_digest: str) -> dict[str, str]:
    """Return the tag of a snapshot that was proven to hold the lock."""
    return {SEALED_KEY: lock_digest[:MAX_VALUE]}


def is_sealed(tags: Mapping[str, str]) -> bool:
    return bool(tags.get(SEALED_KEY))


def token(*parts: object) -> str:
    """Return an idempotency token for ``parts``; ECS allows 64 ASCII characters."""
    return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()
