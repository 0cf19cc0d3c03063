"""Read the file of targets; an error names the field, its value and the mend."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import ValidationError

from ack_preload.domain.errors import InvalidInputError
from ack_preload.targets.model import Target, Targets

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

PATH_VARIABLE = "ACK_PRELOAD_TARGETS"
# include/ack_preload/targets/load.py -> include/targets.yaml, where a deployment keeps it.
DEFAULT_PATH = Path(__file__).parents[2] / "targets.yaml"


class TargetError(InvalidInputError):
    """The file of targets is missing, is not YAML, or says something it cannot mean."""


def targets_path() -> Path:
    """Return the path in ``ACK_PRELOAD_TARGETS``, read now, or ``include/targets.yaml``."""
    return Path(os.environ.get(PATH_VARIABLE) or DEFAULT_PATH)


def load_targets(path: Path | None = None) -> Targets:
    """Read and validate the whole file.

    :raises TargetError: with one line for each wrong field.
    """
    path = path or targets_path()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise TargetError(
            f"{path}: cannot be read ({exc}); set {PATH_VARIABLE} to the file of targets"
        ) from exc
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as exc:
        raise TargetError(f"{path}: not YAML: {exc}") from exc
    if not isinstance(data, dict):
        raise TargetError(f"{path}: holds {_kind(data)}; write a mapping with the key `targets`")
    return parse_targets(data, where=str(path))


def load_target(name: str, path: Path | None = None) -> Target:
    """Return the target called ``name``; the only one there is when ``name`` is empty.

    :raises TargetError: when there is no such target, or ``name`` is empty and there are several.
    """
    targets = load_targets(path).targets
    known = ", ".join(target.name for target in targets)
    if not name:
        if len(targets) == 1:
            return targets[0]
        raise TargetError(f"param target is empty and there are several; choose one of {known}")
    for target in targets:
        if target.name == name:
            return target
    raise TargetError(f"no target {name!r} in {path or targets_path()}; known: {known}")


def parse_targets(data: dict[str, Any], *, where: str) -> Targets:
    try:
        return Targets.model_validate(data)
    except ValidationError as exc:
        lines = [f"{where}: {_line(error, data)}" for error in exc.errors(include_url=False)]
        raise TargetError("\n".join(lines)) from None


def _line(error: ErrorDetails, data: dict[str, Any]) -> str:
    """Return ``field: what is wrong; mend`` for one error of pydantic."""
    field = ".".join(_plain(str(part)) for part in error["loc"]) or "the file"
    owner = _target_name(error["loc"], data)
    match error["type"]:
        case "missing":
            what = "is missing; add it"
        case "extra_forbidden":
            what = f"is unknown (value {error['input']!r}); remove it or mend its spelling"
        case _:
            message = error["msg"].removeprefix("Value error, ")
            what = f"is {_shown(error['input'])}: {_first_lower(message)}"
    return f"{field}{owner} {what}"


def _target_name(loc: tuple[int | str, ...], data: dict[str, Any]) -> str:
    """Return `` (of target NAME)`` when the place lies inside a target that has a name."""
    match loc:
        case ("targets", int(index), _, *_):
            found = data["targets"][index]
            name = found.get("name") if isinstance(found, dict) else None
            return f" (of target {_plain(name)})" if isinstance(name, str) else ""
        case _:
            return ""


def _plain(text: str) -> str:
    """Return a text that stands in a message without quotes; quoted when it would not be plain."""
    return text if text.isascii() and text.isprintable() else _shown(text)


def _shown(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 80 else f"{text[:77]}..."  # noqa: PLR2004  # one terminal line


def _first_lower(message: str) -> str:
    return message[:1].lower() + message[1:]


def _kind(value: object) -> str:
    return "nothing" if value is None else type(value).__name__
