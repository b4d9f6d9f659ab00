"""The Dockerfile: small rules, and with DECONVFLOW_LONG_TESTS its steps in a Debian root."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import yaml

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
    run = "RUN --mount=x,y=z --network=none x \\\n  # inside\n  && y\n"
    text = f"# one\nFROM a AS b\n{run}\nCOPY --from=b /c /d\n"
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


def build_first_step() -> str:
    """Returns a shell's line that runs DatasetSnapshot of the compiled sample as the launcher does."""
    from resolve_inputs import resolve_inputs
    from run_container import Container
    from step_runner import Cluster, _root_parameters, _Run

    spec, platforms = yaml.safe_load_all((REPOSITORY / "kubeflow/pipeline.yaml").read_text())
    task = spec["root"]["dag"]["tasks"]["DatasetSnapshot"]
    component = spec["components"][task["componentRef"]["name"]]
    values = _root_parameters(spec, {})
    run = _Run(Cluster(Path("/tmp"), None), spec, platforms, "minio://mlpipeline/sample", "run-1")
    inputs = resolve_inputs(task, component, values, {})
    executor_input = run._executor_input("DatasetSnapshot", component, inputs, Path("/"))
    container = spec["deploymentSpec"]["executors"][component["executorLabel"]]["container"]
    command = Container(container, {}, executor_input, Path("/"), {"pipeline/runid": "run-1"}, {}).command()
    uris = [one["artifacts"][0]["uri"] for one in executor_input["outputs"]["artifacts"].values()]
    staged = [uri.replace("minio://", "/tmp/staging/minio/") for uri in uris]
    files = [one["outputFile"] for one in executor_input["outputs"]["parameters"].values()]
    folders = sorted({str(Path(path).parent) for path in (*staged, *files)})
    variables = ["DECONVFLOW_STAGING_ROOT=/tmp/staging", "DECONVFLOW_RUN_ID=run-1"]
    return (
        f"mkdir -p {shlex.join(folders)} && env {shlex.join([*variables, *command])}"
        f" && cat {shlex.quote(executor_input['outputs']['outputFile'])} && find /tmp/staging -type f"
    )


@pytest.mark.slow
@pytest.mark.long("takes three minutes and downloads the stack")
@pytest.mark.timeout(3600)
def test_its_steps_make_a_root_that_runs_the_first_step(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("needs root, to enter a root file system")
    inside = f"id -u && ! touch /opt/x 2>/dev/null && {build_first_step()}"
    command = [sys.executable, SCRIPT, DOCKERFILE, _find_root(tmp_path), "--work", tmp_path / "work"]
    done = subprocess.run(
        [*map(str, command), "--", "sh", "-c", inside], capture_output=True, text=True, check=False
    )
    shutil.rmtree(tmp_path / "work")
    assert done.returncode == 0, done.stderr[-5000:]
    assert done.stdout.splitlines()[0] == "1000740000"
    assert re.search(r"\b[0-9a-f]{64}\b", done.stdout), "no fingerprint was handed on"
    assert "snapshot.jsonl" in done.stdout
