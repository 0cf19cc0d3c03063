"""What a terminal shows of a run, and what is said when it fails."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from local.chain import Chain, Stage, Task
from local.demo import failure
from local.layout import Layout
from local.progress import Progress
from local.task_logs import error, progress

START = datetime(2026, 11, 25, 2, 33, tzinfo=UTC)


def task(state: str, *, ended: datetime | None = None, task_id: str = "pull_images") -> Task:
    return Task(
        dag_id="build_preloaded_disk",
        run_id="nightly_demo_1",
        task_id=task_id,
        map_index=-1,
        state=state,
        try_number=1,
        started=START,
        ended=ended,
        operator="Some",
    )


def chain(*tasks: Task, state: str = "running") -> Chain:
    stage = Stage("build_preloaded_disk", "nightly_demo_1", state, START, None, tasks)
    return Chain("manual__1", state, START, None, (), (stage,))


def write_log(home: Path, name: str, *entries: object) -> None:
    folder = home / "logs/dag_id=build_preloaded_disk/run_id=nightly_demo_1/task_id=pull_images"
    folder.mkdir(parents=True, exist_ok=True)
    lines = [entry if isinstance(entry, str) else json.dumps(entry) for entry in entries]
    (folder / name).write_text("\n".join(lines))


def test_the_last_progress_line_of_the_triggerers_log_counts(tmp_path: Path) -> None:
    write_log(tmp_path, "attempt=1.log", {"event": "started", "level": "info"})
    write_log(
        tmp_path,
        "attempt=1.log.trigger.1.log",
        {"event": "progress: 1 of 14 images, 100 bytes"},
        {"event": "progress: 3 of 14 images, 123 bytes"},
        '{"event": "progress: 4 of 14 im',  # still being written
    )
    assert progress(tmp_path, task("deferred")) == (3, 14, 123)


def test_a_task_without_a_log_has_no_progress(tmp_path: Path) -> None:
    assert progress(tmp_path, task("deferred")) is None


def test_an_exception_is_told_by_its_type_and_message(tmp_path: Path) -> None:
    write_log(
        tmp_path,
        "attempt=1.log",
        {"event": "Something", "level": "error"},
        {
            "event": "Task failed with exception",
            "level": "error",
            "error_detail": [{"exc_type": "ResourceFailedError", "exc_value": "i-1 is gone"}],
        },
    )
    assert error(tmp_path, task("failed")) == "ResourceFailedError: i-1 is gone"


def test_a_failure_names_task_error_and_log(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.make()
    detail = {"event": "x", "error_detail": [{"exc_type": "PullError", "exc_value": "no space"}]}
    write_log(layout.airflow, "attempt=1.log", detail)

    late = task("failed", ended=START.replace(minute=40), task_id="watcher")
    early = task("failed", ended=START.replace(minute=35))
    said = failure(layout, chain(late, early, state="failed"))

    assert "task build_preloaded_disk.pull_images" in said
    assert "PullError: no space" in said
    assert "task_id=pull_images" in said


def test_a_live_table_shows_stage_task_and_images(tmp_path: Path) -> None:
    line = {"event": "progress: 3 of 14 images, 10485760 bytes"}
    write_log(tmp_path, "attempt=1.log", line)
    console = Console(width=120, force_terminal=False)
    with console.capture() as shown:
        console.print(Progress(console, tmp_path).table(chain(task("deferred"))))
    assert "pull images: 3 of 14 images, 10 MiB" in shown.get()
    assert "Roll out a node pool" in shown.get()


def test_without_a_terminal_a_line_is_printed_for_each_change_only(tmp_path: Path) -> None:
    console = Console(width=120, force_terminal=False)
    shower = Progress(console, tmp_path)
    with console.capture() as shown, shower.shown():
        shower.show(chain(task("deferred")))
        shower.show(chain(task("deferred")))
        shower.show(chain(task("running", task_id="seal_disk")))
        shower.show(chain(task("success"), state="success"))
    lines = [line.split("  ", 1)[1] for line in shown.get().splitlines()]
    assert lines == [
        "build_preloaded_disk: pull images",
        "build_preloaded_disk: seal disk",
        "build_preloaded_disk: success",
    ]
