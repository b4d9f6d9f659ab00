"""The set-up script hands the machine's own settings on and refuses with a sentence."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
SCRIPT = REPOSITORY / "requirements/bootstrap.sh"


def run_bash(
    code: str, home: Path, *, lane: str = "tfx-1-16", **variables: str
) -> subprocess.CompletedProcess[str]:
    """Runs code after the script's functions, in an environment with nothing of this machine's settings."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "PIP_CONFIG_FILE": os.devnull, **variables}
    return subprocess.run(
        ["bash", "-c", f"source {SCRIPT} {lane} {home}/venv; {code}"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def handed_on(home: Path, **variables: str) -> dict[str, str]:
    """What uv's environment is, given pip's."""
    done = run_bash("hand_on_pip_settings; env", home, **variables)
    assert done.returncode == 0, done.stderr
    return dict(
        line.split("=", 1) for line in done.stdout.splitlines() if line.startswith(("UV_", "SSL_", "ALL_"))
    )


def test_pip_configuration_file_reaches_uv(tmp_path: Path) -> None:
    config = tmp_path / "pip.conf"
    config.write_text(
        "[global]\nindex-url = https://mirror.test/simple\nextra-index-url =\n    https://one.test/simple\n"
        "    https://two.test/simple\nfind-links = /srv/one /srv/two\ncert = /etc/mirror.pem\n"
        "[install]\nindex-url = https://strong.test/simple\n"
    )
    settings = handed_on(tmp_path, PIP_CONFIG_FILE=str(config))
    assert settings["UV_DEFAULT_INDEX"] == "https://strong.test/simple"
    assert settings["UV_INDEX"] == "https://one.test/simple https://two.test/simple"
    assert settings["UV_FIND_LINKS"] == "/srv/one,/srv/two"
    assert settings["SSL_CERT_FILE"] == "/etc/mirror.pem"


def test_pip_environment_is_stronger_than_its_file(tmp_path: Path) -> None:
    config = tmp_path / "pip.conf"
    config.write_text("[install]\nindex-url = https://file.test/simple\n")
    settings = handed_on(
        tmp_path, PIP_CONFIG_FILE=str(config), PIP_INDEX_URL="https://environment.test/simple?a=b"
    )
    assert settings["UV_DEFAULT_INDEX"] == "https://environment.test/simple?a=b"


@pytest.mark.parametrize("variable", ["UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX"])
def test_settings_of_uv_are_left_alone(tmp_path: Path, variable: str) -> None:
    settings = handed_on(
        tmp_path, PIP_INDEX_URL="https://pip.test/simple", **{variable: "https://uv.test/simple"}
    )
    assert {name: value for name, value in settings.items() if "INDEX" in name} == {
        variable: "https://uv.test/simple"
    }


def test_nothing_set_names_no_index(tmp_path: Path) -> None:
    assert not {"UV_DEFAULT_INDEX", "UV_INDEX", "UV_FIND_LINKS"} & handed_on(tmp_path).keys()


@pytest.mark.parametrize(
    ("stand_in", "lane", "sentence"),
    [
        ("true", "tfx-9", "There is no lane 'tfx-9'. Lanes: tfx-1-16 tfx-1-21."),
        ("getconf() { echo glibc 2.36; }", "tfx-1-21", "needs glibc 2.39, and this machine has 2.36"),
        ("getconf() { return 1; }", "tfx-1-16", "has another C library"),
        ("uname() { echo Linux aarch64; }", "tfx-1-16", "no packages for Linux aarch64"),
    ],
)
def test_machines_that_cannot_run_the_stack_are_told_so(
    tmp_path: Path, stand_in: str, lane: str, sentence: str
) -> None:
    done = run_bash(f"{stand_in}; refuse_other_machines; echo went on", tmp_path, lane=lane)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert "went on" not in done.stdout


def test_python_of_another_version_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "python3.9"
    other.write_text("#!/bin/sh\nexit 1\n")
    other.chmod(0o755)
    done = run_bash("uv=true; make_venv", tmp_path, PYTHON=str(other))
    assert done.returncode == 1
    assert f"PYTHON={other} is not what lane tfx-1-16 needs: Python 3.11." in done.stderr


def test_an_interrupted_environment_is_made_anew(tmp_path: Path) -> None:
    half = tmp_path / "venv"
    half.mkdir()
    (half / ".unfinished").touch()
    (half / "half-a-package").touch()
    done = run_bash("uv=true; make_venv", tmp_path)
    assert done.returncode == 0, done.stderr
    assert not half.exists()
