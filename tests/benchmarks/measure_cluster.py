"""What a cluster adds: compiling, and a step's way around its component, beside importing TFX alone.

Steps are containers of the compiled sample as ``tests/kubeflow`` runs them: a process each, their record in
a metadata store included. The time of the component itself, such as writing the sample, is taken off.
"""

from __future__ import annotations

import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from harness import Job, Row, note, peak_memory_bytes, run_measurement

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tests/kubeflow"))

from run_container import Container, Runtime  # noqa: E402
from step_runner import Cluster, run_pipeline  # noqa: E402

from pipeline.config import preset_path  # noqa: E402

STEPS = ("ImportSchemaGen", "DatasetSnapshot")
"""Those that need nothing of an earlier one."""
_OVERHEAD_SECONDS, _COMPILE_SECONDS = 2.0, 15.0
_IMPORT = "import sys; sys.modules['kubernetes_validate'] = None; import tfx.v1"
"""Without a package of the tests that no image has, and that would take Kubernetes' client seconds."""


@dataclass(frozen=True)
class StepTimes:
    """Seconds of one step."""

    whole: float
    """Of the process."""
    loading: float
    """TensorFlow and TFX, in the same process."""
    work: float
    """The component's own."""


@dataclass(frozen=True)
class Site:
    """The folders of a measurement."""

    root: Path

    @property
    def compiled(self) -> Path:
        return self.root / "pipeline.yaml"

    def prepare(self) -> None:
        """Writes the sample's configuration for a cluster of folders."""
        volume = self.root / "volume"
        volume.mkdir()
        # Containers run as a user of their own.
        self.root.chmod(0o755)
        volume.chmod(0o777)
        tree: dict[str, Any] = yaml.safe_load(preset_path("digits").read_text(encoding="utf-8"))
        mounted = {
            "volumes": [{"mount_path": str(volume), "claim": "work"}],
            "environment": {},
            "secrets": [],
        }
        tree["kubeflow"] = {"serving_root": f"{volume}/serving", "defaults": mounted}
        tree["metadata"] = {"store": f"sqlite:///{volume}/metadata.sqlite"}
        (self.root / "config.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")

    def compile(self) -> float:
        """Compiles by the command line; returns the seconds."""
        arguments = ["--config", str(self.root / "config.yaml"), "--out", str(self.compiled)]
        command = [sys.executable, "-m", "pipeline", "kubeflow", "compile", *arguments]
        started = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ)
        return time.perf_counter() - started

    def run(self, node: str) -> StepTimes:
        """Runs one step in a process of its own."""
        outcome = run_pipeline(Cluster(self.root / "cluster", Runtime()), self.compiled, only={node}).tasks[
            node
        ]
        found = re.search(rf"{node} took \S+ s: (\S+) s loading [^,]+, (\S+) s its own work", outcome.log)
        if outcome.state != "succeeded" or found is None:
            raise SystemExit(f"{node} {outcome.state}:\n{outcome.log[-4000:]}")
        return StepTimes(outcome.seconds, float(found[1]), float(found[2]))

    def import_tfx(self) -> float:
        """Imports TFX in a container and does nothing; returns the seconds."""
        pod = self.root / f"import-{time.monotonic_ns()}"
        (pod / "tmp").mkdir(parents=True)
        nothing: dict[str, Any] = {"inputs": {"artifacts": {}, "parameterValues": {}}, "outputs": {}}
        spec = {"command": ["python", "-c", _IMPORT], "args": []}
        finished = Runtime().run(Container(spec, {}, nothing, pod, {}, {}))
        if finished.status != 0:
            raise SystemExit(finished.log[-4000:])
        return finished.seconds


def measure(job: Job) -> list[Row]:
    """Compiles, imports and runs steps in turns."""
    # Not below the scratch folder, which is closed to the user whom containers run as.
    with tempfile.TemporaryDirectory(prefix="deconvflow-bench-") as folder:
        site = Site(Path(folder))
        site.prepare()
        return _measure(site, job.pairs)


def _measure(site: Site, turns: int) -> list[Row]:
    warm_up: list[Callable[[], object]] = [site.compile, site.import_tfx]
    for call in warm_up:
        note("warming up")
        call()
    compiling, importing = list[float](), list[float]()
    steps: dict[str, list[StepTimes]] = {node: [] for node in STEPS}
    for turn in range(turns):
        note(f"turn {turn + 1} of {turns}")
        importing.append(site.import_tfx())
        compiling.append(site.compile())
        for node in STEPS:
            steps[node].append(site.run(node))
    return [_compile_row(compiling, importing), *(_step_row(n, steps[n], importing) for n in STEPS)]


def _compile_row(compiling: list[float], importing: list[float]) -> Row:
    seconds = statistics.median(compiling)
    return Row(
        name="kubeflow compile",
        unit="s",
        measured=seconds,
        limit=statistics.median(importing),
        ratio=statistics.median(a / b for a, b in zip(compiling, importing, strict=True)),
        target=f"<= {_COMPILE_SECONDS:g} s",
        met=seconds <= _COMPILE_SECONDS,
        peak_memory_bytes=peak_memory_bytes(resource.RUSAGE_CHILDREN),
        note="the limit is `import tfx.v1` in a process of its own",
    )


def _step_row(node: str, times: list[StepTimes], importing: list[float]) -> Row:
    ours = [one.whole - one.work for one in times]
    overhead = statistics.median(a - b for a, b in zip(ours, importing, strict=True))
    within = statistics.median(one.whole - one.work - one.loading for one in times)
    work = statistics.median(one.work for one in times)
    return Row(
        name=f"step {node}",
        unit="s",
        measured=statistics.median(ours),
        limit=statistics.median(importing),
        ratio=statistics.median(a / b for a, b in zip(ours, importing, strict=True)),
        target=f"<= limit + {_OVERHEAD_SECONDS:g} s",
        met=max(overhead, within) <= _OVERHEAD_SECONDS,
        peak_memory_bytes=peak_memory_bytes(resource.RUSAGE_CHILDREN),
        note=(
            f"{overhead:+.2f} s against `import tfx.v1` in a process of its own, {within:.2f} s beside what"
            f" the same process imports; the component's own {work:.2f} s are taken off"
        ),
    )


if __name__ == "__main__":
    run_measurement(measure)
