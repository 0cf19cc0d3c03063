"""No shell line is made of words: what runs on a machine is a script of ours with arguments."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

INCLUDE = Path(__file__).parents[2] / "include/ack_preload"
SOURCES = sorted(INCLUDE.rglob("*.py"))
SCRIPTS = sorted((INCLUDE / "remote").glob("*.sh"))

RUNNERS = {"run_script", "arun_script", "ScriptCall"}
"""Calls whose first argument is the name of a script; the others travel as quoted words."""
SENDERS = {"exec_command", "create_subprocess_shell", "getoutput", "getstatusoutput", "popen"}
"""Calls that take a whole line for a shell."""
ONE_PLACE = {"ssh_calls.py", "assistant_calls.py"}
"""Where a call becomes a line, by ``shlex.join`` and nothing else."""
BANNED = {"os.system", "os.popen", "subprocess", "pty", "commands"}


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func).rpartition(".")[2], node


def is_made(node: ast.AST) -> bool:
    """Tell whether a text is put together here: an f-string, a sum, a format, a join."""
    if isinstance(node, ast.JoinedStr):
        return any(isinstance(part, ast.FormattedValue) for part in node.values)
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.Add | ast.Mod)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return node.func.attr in {"format", "join", "replace", "format_map"}
    return False


def offences(text: str, name: str) -> list[str]:
    """Return what a module does that could make a shell line of words."""
    tree, found = ast.parse(text), []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = getattr(node, "module", None)
            names = [module] if module else [each.name for each in node.names]
            found += [f"imports {each}" for each in names if each in BANNED]
        if isinstance(node, ast.keyword) and node.arg == "shell":
            found.append("passes shell=")
        if isinstance(node, ast.Attribute) and ast.unparse(node) in BANNED:
            found.append(f"uses {ast.unparse(node)}")
    for called, call in calls(tree):
        line = f"line {call.lineno}: {called}"
        if called in RUNNERS and call.args and is_made(call.args[0]):
            found.append(f"{line} of a name that is put together")
        if called in SENDERS and any(
            is_made(each) or isinstance(each, ast.Constant) for each in call.args
        ):
            found.append(f"{line} of a line that is put together")
        if called == "join" and ast.unparse(call.func) == "shlex.join" and name not in ONE_PLACE:
            found.append(f"{line}: only {', '.join(sorted(ONE_PLACE))} may make a line")
        if called in {"eval", "exec", "compile"} and isinstance(call.func, ast.Name):
            found.append(line)
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(INCLUDE)))
def test_no_module_makes_a_shell_line_of_words(path: Path) -> None:
    assert offences(path.read_text(), path.name) == []


def test_every_script_that_is_run_is_one_of_ours() -> None:
    named = {
        call.args[0].value
        for path in SOURCES
        for called, call in calls(ast.parse(path.read_text()))
        if called in RUNNERS and call.args and isinstance(call.args[0], ast.Constant)
    }
    assert named
    assert named <= {path.name for path in SCRIPTS}


@pytest.mark.parametrize(
    "wrong",
    [
        'machine.run_script(f"{name}.sh")',
        'machine.run_script("a" + name)',
        'client.exec_command(f"rm {path}")',
        'client.exec_command("rm %s" % path)',
        'client.exec_command("rm " + path)',
        'client.exec_command("rm {}".format(path))',
        'client.exec_command(" ".join(words))',
        'client.exec_command("uptime")',
        "subprocess.run(line, shell=True)",
        "import subprocess",
        "from subprocess import run",
        "os.system(line)",
        "shlex.join(words)",
        "eval(text)",
    ],
)
def test_what_would_splice_words_is_seen(wrong: str) -> None:
    assert offences(wrong, "other.py")


BASH_C = {'bash -c "$READ"', 'bash -c "$script"', 'bash -c "$(declare -f'}
"""Other shells that the scripts start: with fixed texts, or a script whole; words come after."""


def code(path: Path) -> str:
    """Return a script without its comments."""
    lines = path.read_text().splitlines()
    return "\n".join(re.sub(r"(^|\s)#.*", "", line) for line in lines)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_no_script_makes_commands_of_words(path: Path) -> None:
    text = code(path)
    assert not re.search(r"\beval\b|`|\bsource\b|(^|\s)\. ", text)
    assert not re.search(r"\b(sh|dash|zsh) -c\b", re.sub(r"\bbash -c\b", "", text))
    for found in re.finditer(r"bash -c .*", text):
        assert any(found[0].startswith(known) for known in BASH_C), found[0]
    for found in re.finditer(r"\bxargs\b[^|;]*", text):
        assert "-0" in found[0]
        assert " -I" not in found[0]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_every_script_is_strict(path: Path) -> None:
    assert "\nset -euo pipefail\n" in path.read_text()
