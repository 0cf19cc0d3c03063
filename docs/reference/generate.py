"""Write the reference pages from the code they describe; ``--check`` only compares.

PYTHONPATH=include python docs/reference/generate.py [--check]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from retries_page import NOTE, retries_page, table
from sqlalchemy import Table

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent


# -- DAGs


def dags_page() -> str:
    from airflow.dag_processing.dagbag import DagBag  # noqa: PLC0415  # 3 s

    bag = DagBag(str(ROOT / "dags"), bundle_name="dags-folder")
    if bag.import_errors:
        raise SystemExit(f"the DAGs do not parse: {bag.import_errors}")
    sections = [_dag_section(bag.dags[dag_id]) for dag_id in sorted(bag.dags)]
    head = (
        "# DAGs\n\nEach of the six can be started from its form in Airflow; `nightly_preload` "
        "starts the first four for every target. Every run ends in `watch_run`, which is red when "
        "anything in the run was."
    )
    return "\n\n".join([NOTE, head, *sections])


def _dag_section(dag: Any) -> str:
    params = [
        (f"`{name}`", str(param.schema["type"]), f"`{param.value!r}`", param.description or "")
        for name in dag.params
        for param in [dag.params.get_param(name)]
    ]
    tasks = [
        (f"`{task.task_id}`", f"`{_operator(task)}`", _role(task))
        for task in dag.topological_sort()
    ]
    schedule = getattr(dag.timetable, "expression", None)
    starts = f"by the schedule `{schedule}` (UTC), and by hand" if schedule else "when triggered"
    return "\n\n".join(
        [
            f"## {dag.dag_id}",
            dag.doc_md.strip().partition("\n")[2].strip(),
            f"Starts {starts}; at most {dag.max_active_runs} runs at a time. "
            f"Tags: {', '.join(f'`{tag}`' for tag in sorted(dag.tags))}.",
            table(("Param", "Type", "Default", "Meaning"), params),
            table(("Task", "Operator", "Role"), tasks),
        ]
    )


def _operator(task: Any) -> str:
    return getattr(task, "operator_class", type(task)).__name__


def _role(task: Any) -> str:
    roles = []
    if task.is_teardown:
        roles.append("runs however the rest ends")
    if getattr(task, "operator_class", type(task)) is not type(task):
        roles.append("mapped")
    roles += [f"makes {outlet.uri}" for outlet in task.outlets or []]
    return ", ".join(roles)


# -- targets


def targets_page() -> str:
    from ack_preload.targets import Targets  # noqa: PLC0415  # with what it loads

    rows = list(_fields(Targets, ""))
    head = (
        "# Targets\n\nA target is one node pool to speed up. They are declared in "
        "`include/targets.yaml`, or in the file that the environment variable "
        "`ACK_PRELOAD_TARGETS` names; it is read when a run starts. An unknown key, a missing "
        "field or a value out of bounds fails the first task of the run, before any cloud call, "
        "and the error names the field, the value and the mend."
    )
    return "\n\n".join([NOTE, head, table(("Field", "Type", "Default", "Meaning"), rows)])


def _fields(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, ...]]:
    for name, field in model.model_fields.items():
        path, inner, many = f"{prefix}{name}", *_model_of(field.annotation)
        if inner is None:
            meaning = "; ".join(part for part in (field.description, _bounds(field)) if part)
            yield (f"`{path}`", _type(field.annotation), _default(field), meaning)
        else:
            own = (inner.__doc__ or "").strip()
            yield (f"`{path}`", "list" if many else "mapping", _default(field), own)
            yield from _fields(inner, f"{path}[]." if many else f"{path}.")


def _model_of(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    inside = getattr(annotation, "__args__", (annotation,))[0]
    is_model = isinstance(inside, type) and issubclass(inside, BaseModel)
    return (inside, inside is not annotation) if is_model else (None, False)


def _type(annotation: Any) -> str:
    text = getattr(annotation, "__name__", "") if isinstance(annotation, type) else str(annotation)
    if hasattr(annotation, "__args__"):
        text = str(annotation)
    for noise in ("typing.", "Annotated"):
        text = text.replace(noise, "")
    base = {"str": "text", "int": "integer"}
    if "Literal" in text:
        return text.partition("Literal")[2].strip("[]").replace("'", "`")
    if text.startswith("list"):
        return "list of text" if "dict" not in text else "list of mappings"
    if text.startswith("dict"):
        return "mapping of text"
    return base.get(text, "text" if "str" in text else "integer")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**needed**"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return "as below"
    return " " if value in (None, "", [], {}) else f"`{value}`"


def _bounds(field: FieldInfo) -> str:
    words = {"ge": "at least", "le": "at most", "min_length": "at least", "max_length": "at most"}
    found = []
    for rule in field.metadata:
        for name, word in words.items():
            value = getattr(rule, name, None)
            if value is not None:
                unit = " entries" if "length" in name and "list" in str(field.annotation) else ""
                unit = unit or (" characters" if "length" in name else "")
                found.append(f"{word} {value}{unit}")
    return ", ".join(found)


# -- history


def store_page() -> str:
    from ack_preload.store.store import TABLES  # noqa: PLC0415  # with what it loads

    head = (
        "# History\n\nWhat was exported, built, rolled out and measured is kept in a database: "
        "`$AIRFLOW_HOME/ack_preload.db` (SQLite), or the one that the connection "
        "`ack_preload_store` names (types `sqlite`, `postgres`). Its schema is migrated when it is "
        "first opened. The version is in the table `ack_preload_version`, so that it may share a "
        "database with Airflow.\n\nA row belongs to one DAG run (`dag_id`, `run_id`); `chain` is "
        "the run id of the `nightly_preload` run that it was a part of, or empty. A second try of "
        "a task replaces its own row. Times are UTC. Figures that were not reached are null, "
        "never 0."
    )
    sections = [_table_section(record, each) for record, each in TABLES.items()]
    return "\n\n".join([NOTE, head, *sections])


def _table_section(record: type[Any], each: Table) -> str:
    own = record.__doc__ or ""
    rows = [
        (
            f"`{column.name}`",
            str(column.type).replace("DATETIME", "time").lower(),
            "key" if column.primary_key else ("may be null" if column.nullable else ""),
        )
        for column in each.columns
    ]
    parts = [f"## {each.name}", table(("Column", "Type", ""), rows)]
    if own and "(" not in own.partition("\n")[0]:  # a dataclass without words has its signature
        parts.insert(1, own.strip())
    return "\n\n".join(parts)


# -- waits


def waits_page() -> str:
    from ack_preload.domain.waits import WAITS  # noqa: PLC0415  # with what it loads
    from ack_preload.triggers.probes import PROBES  # noqa: PLC0415  # as above

    head = (
        "# Waits\n\nWhat a deferred task waits for. `done` and `failed` are states in the words of "
        "the API that is asked; words of this project are `absent` (not listed), `ready` and "
        "`joining` (all nodes of a pool, or fewer), `listed`, `lost` (a job that died). A state in "
        "neither column is pending, also one that the cloud adds later. So is `absent`, unless it "
        "is what is waited for or the wait has seen the resource before: a new one may be listed "
        "late, and one that was seen has to be absent for `visible_within_s` of the connection "
        "before it counts as gone.\n\n"
        "*Every* is the pause between two looks, which the extra `poll_every_s` of the connection "
        "overrides, and which grows to a minute while looks fail. The deadline is a moment: it "
        "does not start anew with another triggerer. How looks are made is in "
        "[architecture](../architecture.md#how-it-waits)."
    )
    rows = [
        (
            f"`{name}`",
            _states(wait.done),
            _states(wait.failed),
            f"{wait.every.total_seconds():.0f} s",
            f"{wait.within.total_seconds() / 60:.0f} min",
            told_by,
        )
        for name, wait in WAITS.items()
        for opener in [PROBES[name].opener.partition(":")[2]]
        for told_by in [TOLD_BY.get(opener) or stop(f"add {opener} to TOLD_BY in {__file__}")]
    ]
    return "\n\n".join(
        [NOTE, head, table(("Wait", "Done", "Failed", "Every", "Deadline", "Told by"), rows)]
    )


TOLD_BY = {
    "instance": "DescribeInstances, 100 a call",
    "agent": "DescribeCloudAssistantStatus, 100 a call",
    "snapshot": "DescribeSnapshots, 100 a call",
    "ack_task": "DescribeTaskInfo, a call for each task",
    "node_pool": "DescribeClusterNodePools, a call for all of a cluster",
    "node_pool_named": "DescribeClusterNodePools, the same call",
    "nodes": "DescribeClusterNodes, a listing for all of a cluster",
    "remote_job": "`job.sh state` on the machine",
    "node_ready": "DescribeClusterNodes as above, then the Node in Kubernetes",
    "pod_running": "the Pod in Kubernetes",
}
"""By the opener in PROBES."""


def stop(why: str) -> NoReturn:
    raise SystemExit(why)


def _states(states: frozenset[str]) -> str:
    return ", ".join(f"`{state}`" for state in sorted(states))


PAGES: dict[str, Callable[[], str]] = {
    "dags.md": dags_page,
    "targets.md": targets_page,
    "store.md": store_page,
    "waits.md": waits_page,
    "retries.md": retries_page,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when stale")
    check = parser.parse_args().check
    stale = []
    for name, page in PAGES.items():
        path, text = HERE / name, page().rstrip() + "\n"
        if path.exists() and path.read_text() == text:
            continue
        stale.append(name)
        if not check:
            path.write_text(text)
    if stale and check:
        sys.stderr.write(f"stale: {', '.join(stale)}; run docs/reference/generate.py\n")
    return int(bool(stale) and check)


if __name__ == "__main__":
    raise SystemExit(main())
