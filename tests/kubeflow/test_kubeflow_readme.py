"""What kubeflow/README.md tells people to type exists, and its files are there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from pipeline.cli import app
from pipeline.config import PipelineConfig

REPOSITORY = Path(__file__).parents[2]
TEXT = (REPOSITORY / "kubeflow/README.md").read_text()


def _lines() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    inline = re.findall(r"`(deconvflow [^`]*)`", TEXT.replace("\n", " "))
    joined = [block.replace("\\\n", " ") for block in blocks]
    return [line.strip() for block in joined for line in block.splitlines() if line.strip()] + inline


COMMANDS = sorted({line for line in _lines() if line.startswith("deconvflow ")})


def _find(words: list[str]) -> tuple[object, list[str]]:
    """Returns the command of a line, and the words that are its own."""
    command = get_command(app)
    while hasattr(command, "commands"):
        if words and words[0] in command.commands:
            command = command.commands[words.pop(0)]
        elif "create" in command.commands:
            command = command.commands["create"]
        else:
            return command, words
    return command, words


def test_there_are_commands():
    assert any("kubeflow submit" in line for line in COMMANDS)
    assert any("kubeflow schedule" in line for line in COMMANDS)


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_and_their_options_exist(line):
    command, words = _find(shlex.split(line)[1:])
    assert not hasattr(command, "commands") or not words, f"{line}: no command {words}"
    known = {option for one in command.params for option in (*one.opts, *one.secondary_opts)}
    used = {word.split("=")[0] for word in words if word.startswith("-")}
    assert used <= known, f"{line}: {used - known} is no option"


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#]+)\)", TEXT))))
def test_what_is_linked_is_there(link):
    assert "://" in link or (REPOSITORY / "kubeflow" / link).exists()


@pytest.mark.parametrize("line", sorted({line for line in _lines() if line.startswith("make ")}))
def test_make_targets_exist(line):
    assert re.search(rf"^{line.split()[1]}:", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("block", re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL))
def test_the_configuration_is_one(block):
    section = yaml.safe_load(block)
    PipelineConfig.model_fields["kubeflow"].annotation.model_validate(section["kubeflow"])


def test_every_runtime_parameter_that_is_named_is_one():
    spec = next(iter(yaml.safe_load_all((REPOSITORY / "kubeflow/pipeline.yaml").read_text())))
    declared = set(spec["root"]["inputDefinitions"]["parameters"])
    named = set(re.findall(r"--param ([a-z_]+)", TEXT))
    assert named and named <= declared
