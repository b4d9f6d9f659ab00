"""What the README tells people to type exists."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from pipeline.cli import app

REPOSITORY = Path(__file__).parents[2]


def _shell_lines() -> list[str]:
    text = (REPOSITORY / "README.md").read_text()
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    inline = re.findall(r"`(deconvflow [^`]*)`", text.replace("\n", " "))
    lines = [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in [*lines, *inline] if line.startswith(("deconvflow ", "make "))]


def _commands() -> list[str]:
    return [line for line in _shell_lines() if line.startswith("deconvflow ")]


def test_the_readme_has_the_two_commands():
    assert {"make run", "make test"} <= set(_shell_lines())


@pytest.mark.parametrize("line", sorted(set(_shell_lines())))
def test_make_targets_exist(line):
    if line.startswith("make "):
        target = line.split()[1]
        assert re.search(rf"^{target}:", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("line", sorted(set(_commands())))
def test_commands_and_their_options_exist(line):
    group = get_command(app)
    words = [word for word in shlex.split(re.sub(r"[\[\]|]", " ", line))[1:] if not word.startswith("...")]
    command = group.commands[words.pop(0)]
    while hasattr(command, "commands") and words:
        command = command.commands[words.pop(0)]
    known = {
        option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)
    }
    used = [word.split("=")[0] for word in words if word.startswith("-")]
    assert set(used) <= known, f"{line}: {set(used) - known} is no option of {command.name}"


def test_every_command_is_in_the_readme():
    group = get_command(app)
    named = {line.split()[1] for line in _commands()}
    assert set(group.commands) <= named
