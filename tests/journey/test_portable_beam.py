"""Every Beam component by Beam's job service and SDK workers in processes of their own.

It is the path that Flink and Spark share: the pipeline goes to a job endpoint, artifacts are staged, and
each stage runs in a worker that a pool starts. What comes out is held against the direct runner's.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

REPOSITORY = Path(__file__).resolve().parents[2]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.journey,
    pytest.mark.long,
    pytest.mark.timeout(900),
]


@pytest.fixture(scope="module")
def portable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """The arguments of Beam that lead to a job service and a pool of workers."""
    folder = tmp_path_factory.mktemp("beam")
    environment = os.environ | {
        # The pool starts whatever `python` is, and workers must find our packages.
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(REPOSITORY),
    }
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        pool_port = probe.getsockname()[1]
    commands = (
        ["apache_beam.runners.portability.local_job_service_main", f"--port_file={folder / 'port'}"],
        ["apache_beam.runners.worker.worker_pool_main", f"--service_port={pool_port}"],
    )
    processes = []
    for number, command in enumerate(commands):
        with (folder / f"{number}.log").open("wb") as log:
            processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", *command], stdout=log, stderr=log, env=environment, cwd=folder
                )
            )
    deadline = time.monotonic() + 120
    while not (folder / "port").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    yield [
        "--runner=PortableRunner",
        f"--job_endpoint=localhost:{(folder / 'port').read_text()}",
        "--environment_type=EXTERNAL",
        f"--environment_config=localhost:{pool_port}",
    ]
    for process in processes:
        process.terminate()
        process.wait()
    # Or else the runs below were not what they are taken for.
    assert (folder / "0.log").read_text().count("Completed job") == 5
    assert (folder / "1.log").read_text().count("Starting worker") >= 5


@pytest.fixture(scope="module")
def runs(
    tmp_path_factory: pytest.TempPathFactory,
    portable: list[str],
    deconvflow: Callable[..., Any],
    make_boxes: Callable[[Path], Path],
    write_config: Callable[..., Path],
) -> dict[str, tuple[Path, Any]]:
    """Folder of the artifacts and document, for each of the two runners."""
    folder = tmp_path_factory.mktemp("runs")
    config = write_config(
        folder / "c.yaml", make_boxes(folder / "boxes"), evaluation={"gates": {"floors": {"mean_iou": 0.0}}}
    )
    found = {}
    for name, arguments in (("direct", []), ("portable", portable)):
        workspace = folder / name
        beam = [f"--beam={argument}" for argument in arguments]
        done = deconvflow(
            "run", "--config", config, "-w", workspace, "--json", "--set", "trainer.epochs=2", *beam
        )
        assert done.status == 0, done.stderr[-4000:]
        assert set(done.states.values()) == {"complete"}
        found[name] = workspace / "pipelines/boxes", done.document
    return found


def read_tree(root: Path, component: str, key: str) -> dict[str, bytes]:
    """Content of each file of an output, by its path below the artifact."""
    (artifact,) = (root / component / key).iterdir()
    return {str(p.relative_to(artifact)): p.read_bytes() for p in artifact.rglob("*") if p.is_file()}


@pytest.mark.parametrize(
    ("component", "key"),
    [
        ("DatasetSnapshot", "snapshot"),
        ("DatasetSnapshot", "fingerprint"),
        ("SegmentationExampleGen", "examples"),
        ("StatisticsGen", "statistics"),
    ],
)
def test_files_are_the_same_to_the_byte(runs: dict[str, tuple[Path, Any]], component: str, key: str) -> None:
    direct, portable = (read_tree(runs[name][0], component, key) for name in ("direct", "portable"))
    assert len(direct) >= 1 and direct == portable


def read_transformed(root: Path) -> dict[str, list[str]]:
    """The transformed examples of each split, sorted: a runner's order is not fixed."""
    (artifact,) = (root / "Transform/transformed_examples").iterdir()
    found = {}
    for split in sorted(artifact.iterdir()):
        records = tf.data.TFRecordDataset(list(map(str, split.iterdir())), "GZIP").as_numpy_iterator()
        found[split.name] = sorted(str(tf.train.Example.FromString(record)) for record in records)
    return found


def test_transformed_examples_are_the_same(runs: dict[str, tuple[Path, Any]]) -> None:
    direct, portable = (read_transformed(runs[name][0]) for name in ("direct", "portable"))
    assert {split: len(examples) for split, examples in direct.items()} == {"Split-train": 32, "Split-val": 6}
    assert direct == portable


def read_graph(root: Path) -> tuple[dict[str, bytes], list[tuple[str, bytes]]]:
    """Variables and schemas of the transform graph, and the value of each of its constants."""
    (artifact,) = (root / "Transform/transform_graph").iterdir()
    contents = {str(p.relative_to(artifact)): p.read_bytes() for p in artifact.rglob("*") if p.is_file()}
    # Functions are named by a count, the model's fingerprint is drawn by chance.
    contents.pop("transform_fn/fingerprint.pb")
    model = saved_model_pb2.SavedModel.FromString(contents.pop("transform_fn/saved_model.pb"))
    graph = model.meta_graphs[0].graph_def
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    values = [(node.name, tf.make_ndarray(node.attr["value"].tensor)) for node in nodes if node.op == "Const"]
    return contents, sorted((name, value.tobytes()) for name, value in values if value.dtype.kind in "biuf")


def test_the_transform_graph_holds_the_same_values(runs: dict[str, tuple[Path, Any]]) -> None:
    (files, values), (other_files, other_values) = (read_graph(runs[name][0]) for name in runs)
    assert len(files) >= 4 and files == other_files
    assert len(values) > 10 and values == other_values


def test_the_same_model_gets_the_same_metrics(runs: dict[str, tuple[Path, Any]]) -> None:
    (root, document), (other_root, other_document) = runs["direct"], runs["portable"]
    evaluation, other = (read_tree(one, "Evaluator", "evaluation") for one in (root, other_root))
    weights = "Format-Serving/variables/variables.data-00000-of-00001"
    assert read_tree(root, "Trainer", "model")[weights] == read_tree(other_root, "Trainer", "model")[weights]
    assert evaluation["metrics.json"] == other["metrics.json"]
    assert document["metrics"] == other_document["metrics"]
