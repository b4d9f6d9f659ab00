"""The Dockerfile: small rules, and with DECONVFLOW_LONG_TESTS its steps in a Debian root."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
DOCKERFILE = REPOSITORY / "kubeflow/Dockerfile"
SCRIPT = Path(__file__).with_name("run_dockerfile.py")


@pytest.fixture(scope="module")
def runner():
    specification = importlib.util.spec_from_file_location("run_dockerfile", SCRIPT)
    module = importlib.util.module_from_spec(specification)
    sys.modules["run_dockerfile"] = module
    specification.loader.exec_module(module)
    yield module
    del sys.modules["run_dockerfile"]


def test_continuations_comments_and_flags_are_understood(runner):
    text = "# one\nFROM a AS b\nRUN --mount=x,y=z --network=none x \\\n  # inside\n  && y\n\nCOPY --from=b /c /d\n"
    (stage,) = runner.parse_stages(text, {})
    assert (stage.name, stage.parent) == ("b", "a")
    run, copy = stage.instructions
    assert runner.split_flags(run.rest) == (["--mount=x,y=z", "--network=none"], "x && y")
    assert (run.line, copy.line) == (3, 7)


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("data/classes.py", True),
        ("data/__pycache__/x.pyc", False),
        ("tests/conftest.py", False),
        ("a.env", False),
    ],
)
def test_what_reaches_the_builder(runner, path, sent):
    assert runner.is_sent(path, runner.read_ignored(REPOSITORY)) is sent


def test_all_that_is_copied_reaches_the_builder(runner):
    patterns = runner.read_ignored(REPOSITORY)
    for stage in runner.parse_stages(DOCKERFILE.read_text(), {}):
        for instruction in stage.instructions:
            flags, paths = runner.split_flags(instruction.rest)
            if instruction.name == "COPY" and not flags:
                assert all(runner.is_sent(path.rstrip("/"), patterns) for path in paths.split()[:-1])


def test_the_last_stage_runs_as_nobody_special_and_holds_no_tools(runner):
    *_, last = runner.parse_stages(DOCKERFILE.read_text(), {})
    instructions = {one.name: one.rest for one in last.instructions}
    assert instructions["USER"] == "10001:0"
    assert not any("apt-get" in one.rest for one in last.instructions)
    assert all(one.rest.startswith("--from=build") for one in last.instructions if one.name == "COPY")


def test_no_address_is_written_down():
    for file in (DOCKERFILE, *(REPOSITORY / "kubeflow/image").iterdir()):
        assert "://" not in file.read_text()


@pytest.mark.slow
def test_hadolint_finds_nothing():
    program = shutil.which("hadolint", path=f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}")
    if program is None:
        pytest.skip("hadolint is not installed")
    subprocess.run([program, str(DOCKERFILE)], check=True)


def _find_root(tmp_path: Path) -> Path:
    """Returns a Debian 12 root: the one that is named, else a new one."""
    if named := os.environ.get("DECONVFLOW_DEBIAN_ROOT"):
        return Path(named)
    if shutil.which("debootstrap") is None:
        pytest.skip("debootstrap is not installed")
    root = tmp_path / "bookworm"
    command = ["debootstrap", "--variant=minbase", "--include=ca-certificates", "bookworm", str(root)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return root


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_its_steps_make_a_root_that_runs_a_step(tmp_path):
    if not os.environ.get("DECONVFLOW_LONG_TESTS"):
        pytest.skip("takes three minutes and downloads the stack; set DECONVFLOW_LONG_TESTS=1")
    if os.geteuid() != 0:
        pytest.skip("needs root, to enter a root file system")
    inside = "python -m pipeline.cluster.entrypoint --help && python -c 'import tfx.v1' && ! touch /opt/x"
    command = [sys.executable, SCRIPT, DOCKERFILE, _find_root(tmp_path), "--work", tmp_path / "work"]
    done = subprocess.run(
        [*map(str, command), "--", "sh", "-c", inside], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "--executor_class_path" in done.stdout
