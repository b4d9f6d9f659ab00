"""The data components in a real pipeline: LocalDagRunner, ML Metadata, TFX's own components between ours."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2
from PIL import Image
from tfx.components import ExampleValidator, StatisticsGen
from tfx.components.schema_gen.import_schema_gen.component import ImportSchemaGen
from tfx.dsl.compiler import compiler
from tfx.orchestration import metadata, pipeline
from tfx.orchestration.local.local_dag_runner import LocalDagRunner

from components.config import DataGateConfig
from components.data_gate import DataGate
from components.dataset_snapshot import DatasetSnapshot
from components.segmentation_example_gen import SegmentationExampleGen
from components.statistics_options import build_statistics_options
from data.build_schema import build_schema, write_schema
from data.config import DataConfig
from data.errors import RefusedError
from data.keep_hashes import HASHES_FILE
from data.take_snapshot import fingerprint_dataset

pytestmark = pytest.mark.slow

MULTI_PROCESS = ("--direct_num_workers=2", "--direct_running_mode=multi_processing")
INGEST = ("DatasetSnapshot", "SegmentationExampleGen")


@dataclass(frozen=True)
class Workspace:
    """Where the pipelines of a test run."""

    root: Path

    def run(
        self,
        config: DataConfig,
        gate: DataGateConfig | None = None,
        code: str = "code",
        beam_args: tuple[str, ...] = (),
    ) -> dict[str, str]:
        """Runs ingest, and the gate if it has a configuration; returns the state of every node."""
        data_config = config.model_dump_json()
        snapshot = DatasetSnapshot(data_config=data_config)
        fingerprint = snapshot.outputs["fingerprint"].future()[0].value
        example_gen = SegmentationExampleGen(data_config, fingerprint, code_fingerprint=code)
        nodes = [snapshot, example_gen]
        if gate is not None:
            nodes += self._judging(config, gate, example_gen)
        dag = pipeline.Pipeline(
            pipeline_name="test",
            pipeline_root=str(self.root / "pipeline"),
            components=nodes,
            enable_cache=True,
            metadata_connection_config=metadata.sqlite_metadata_connection_config(str(self.root / "mlmd")),
            beam_pipeline_args=list(beam_args),
        )
        representation = compiler.Compiler().compile(dag)
        representation.nodes[-1].pipeline_node.execution_options.caching_options.enable_cache = gate is None
        before = {execution.id for execution in self.executions()}
        LocalDagRunner().run_with_ir(representation)
        return {
            self.store.get_execution_types_by_id([run.type_id])[0].name.split(".")[-1]: state_of(run)
            for run in self.executions()
            if run.id not in before
        }

    def _judging(self, config: DataConfig, gate: DataGateConfig, example_gen: SegmentationExampleGen) -> list:
        examples = example_gen.outputs["examples"]
        statistics = StatisticsGen(examples=examples, stats_options=build_statistics_options(config))
        schema = ImportSchemaGen(schema_file=str(write_schema(build_schema(config), self.root / "schemas")))
        validator = ExampleValidator(
            statistics=statistics.outputs["statistics"], schema=schema.outputs["schema"]
        )
        data_gate = DataGate(
            examples=examples,
            statistics=statistics.outputs["statistics"],
            schema=schema.outputs["schema"],
            anomalies=validator.outputs["anomalies"],
            gate_config=gate.model_dump_json(),
            serving_root=str(self.root / "serving"),
            report_dir=str(self.root / "gate"),
        )
        return [statistics, schema, validator, data_gate]

    @property
    def store(self) -> metadata_store.MetadataStore:
        connection = metadata_store_pb2.ConnectionConfig()
        connection.sqlite.filename_uri = str(self.root / "mlmd")
        return metadata_store.MetadataStore(connection)

    def executions(self) -> list:
        return self.store.get_executions() if (self.root / "mlmd").exists() else []

    def last_states(self) -> list[str]:
        return [state_of(run) for run in sorted(self.executions(), key=lambda run: run.id)]

    def newest(self, type_name: str):
        """The newest live artifact of a type."""
        found = [one for one in self.store.get_artifacts_by_type(type_name) if one.state == one.LIVE]
        return max(found, key=lambda one: one.id)


def state_of(execution) -> str:
    return metadata_store_pb2.Execution.State.Name(execution.last_known_state)


def read_ids(folder: Path) -> list[str]:
    files = [str(path) for path in sorted(folder.iterdir())]
    examples = map(tf.train.Example.FromString, tf.data.TFRecordDataset(files).as_numpy_iterator())
    return sorted(e.features.feature["image/id"].bytes_list.value[0].decode() for e in examples)


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    return Workspace(tmp_path / "workspace")


@pytest.fixture(autouse=True)
def _folders(tmp_path):
    (tmp_path / "workspace").mkdir()


def test_the_cache_follows_the_content(write_pairs, tmp_path, workspace):
    config = write_pairs(tmp_path / "data", {"train": 3, "val": 2})
    states = [workspace.run(config)]
    states.append(workspace.run(config))
    mask_path = Path(config.root, "masks/val/val-001.png")
    mask = np.asarray(Image.open(mask_path)).copy()
    mask[0, 0] = 1 - mask[0, 0] % 2
    Image.fromarray(mask).save(mask_path)
    states.append(workspace.run(config))
    states.append(workspace.run(config, code="edited"))
    assert states == [
        dict.fromkeys(INGEST, "COMPLETE"),
        dict.fromkeys(INGEST, "CACHED"),
        dict.fromkeys(INGEST, "COMPLETE"),
        {"DatasetSnapshot": "CACHED", "SegmentationExampleGen": "COMPLETE"},
    ]


@pytest.mark.parametrize(
    "beam_args", [(), pytest.param(MULTI_PROCESS, marks=pytest.mark.long("starts processes that import TFX"))]
)
def test_artifacts_say_what_they_hold(write_pairs, tmp_path, workspace, beam_args):
    config = write_pairs(tmp_path / "data", {"train": 3, "test": 2})
    workspace.run(config, beam_args=beam_args)
    examples = workspace.newest("Examples")
    assert json.loads(examples.properties["split_names"].string_value) == ["train", "test"]
    fingerprint = fingerprint_dataset(config)
    assert examples.custom_properties["fingerprint"].string_value == fingerprint
    assert examples.custom_properties["examples_train"].int_value == 3
    assert examples.custom_properties["examples_test"].int_value == 2
    assert sorted(path.name for path in Path(examples.uri).iterdir()) == [
        "Split-test",
        "Split-train",
        HASHES_FILE,
    ]
    assert read_ids(Path(examples.uri, "Split-test")) == ["test-000", "test-001"]
    snapshot = workspace.newest("DatasetSnapshot")
    assert snapshot.properties["fingerprint"].string_value == fingerprint
    assert snapshot.properties["pairs"].int_value == 5
    (lines,) = Path(snapshot.uri).iterdir()
    rows = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [row["id"] for row in rows] == ["test-000", "test-001", "train-000", "train-001", "train-002"]


def test_all_problems_are_refused_at_once_and_nothing_is_left(write_pairs, tmp_path, workspace):
    config = write_pairs(tmp_path / "data", {"train": 6, "val": 2})
    images, masks = Path(config.root, "images"), Path(config.root, "masks")
    (images / "train/train-000.png").write_bytes(b"")
    (images / "train/train-001.png").write_bytes((images / "train/train-001.png").read_bytes()[:100])
    (masks / "train/train-002.png").write_text("not a picture")
    Image.fromarray(np.full((12, 16), 7, np.uint8)).save(masks / "train/train-003.png")
    Image.fromarray(np.zeros((12, 15), np.uint8)).save(masks / "train/train-004.png")
    (masks / "val/val-000.png").unlink()
    shutil.copy(images / "train/train-005.png", images / "val/val-001.png")
    with pytest.raises(RefusedError) as refused:
        workspace.run(config)
    problems = refused.value.problems
    assert [(Path(problem.where).name, problem.code) for problem in problems] == [
        ("train-000.png", "empty_file"),
        ("train-001.png", "truncated_image"),
        ("val-000.png", "missing_mask"),
        ("val-001.png", "leak"),
        ("train-002.png", "not_an_image"),
        ("train-003.png", "unknown_class_id"),
        ("train-004.png", "size_mismatch"),
    ]
    assert all(problem.remedy for problem in problems)
    assert workspace.last_states() == ["COMPLETE", "FAILED"]
    assert not list((workspace.root / "pipeline").rglob("data_tfrecord*"))
    # Mended, the same data set goes through; the failure was not cached.
    shutil.rmtree(config.root)
    assert workspace.run(write_pairs(tmp_path / "data", {"train": 6, "val": 2})) == dict.fromkeys(
        INGEST, "COMPLETE"
    )


def test_a_data_set_without_a_pair_is_refused_at_once(write_pairs, tmp_path, workspace):
    config = write_pairs(tmp_path / "data", {"train": 1})
    shutil.rmtree(Path(config.root, "masks"))
    with pytest.raises(RefusedError, match="masks"):
        workspace.run(config)
    assert workspace.last_states() == ["FAILED"]
    with pytest.raises(RefusedError, match="no such folder"):
        workspace.run(config.model_copy(update={"root": str(tmp_path / "nowhere")}))


def test_data_that_changes_between_snapshot_and_ingest_is_refused(write_pairs, tmp_path, workspace):
    config = write_pairs(tmp_path / "data", {"train": 2})
    example_gen = SegmentationExampleGen(config.model_dump_json(), "another fingerprint", code_fingerprint="")
    dag = pipeline.Pipeline(
        pipeline_name="test",
        pipeline_root=str(workspace.root / "pipeline"),
        components=[example_gen],
        metadata_connection_config=metadata.sqlite_metadata_connection_config(str(workspace.root / "mlmd")),
    )
    with pytest.raises(RefusedError, match="changed while it was read") as refused:
        LocalDagRunner().run(dag)
    assert refused.value.problems[0].where == config.root
    assert not list((workspace.root / "pipeline").rglob("data_tfrecord*"))


@pytest.fixture(scope="module")
def judged(write_pairs, tmp_path_factory) -> tuple[Workspace, DataConfig, dict[str, str]]:
    """A workspace in which the gate judged a sound data set once; the data set; the nodes' states."""
    folder = tmp_path_factory.mktemp("judged")
    workspace = Workspace(folder / "workspace")
    workspace.root.mkdir()
    config = write_pairs(folder / "data", {"train": 32, "val": 31})
    images = Path(config.root, "images")
    # Noise that is stored anew: every value of the copy is another one.
    copied = np.asarray(Image.open(images / "train/train-003.png"))
    Image.fromarray(copied // 2 + 90).save(images / "val/val-030.png")
    return workspace, config, workspace.run(config, DataGateConfig())


def test_the_gate_passes_sound_data_and_always_runs(judged):
    workspace, config, first = judged
    gate = DataGateConfig()
    assert set(first.values()) == {"COMPLETE"}
    states = workspace.run(config, gate)
    assert {node for node, state in states.items() if state != "CACHED"} == {"DataGate"}
    artifact = workspace.newest("DataGateReport")
    assert artifact.properties["passed"].int_value == 1
    report = json.loads(Path(artifact.uri, "report.json").read_text())
    assert report["passed"] is True
    assert report["findings"] == []
    assert report["examples"] == {"train": 32, "val": 31}
    assert report["served_version"] is None
    assert {distance["feature"] for distance in report["distances"]} >= {"mask/pixels/road", "image/mean"}
    # StatisticsGen computed nothing of the files.
    assert len(report["distances"]) == 9
    assert not (workspace.root / "gate").exists()
    (near,) = report["near_duplicates"]["found"]
    paths = [str(Path(config.root, "images", name)) for name in ("val/val-030.png", "train/train-003.png")]
    assert [near["path"], near["other_path"]] == paths and near["distance"] <= 40
    assert any(
        note.startswith("1 of 31 images in val looks like images in train") for note in report["notes"]
    )
    assert any(all(path in note for path in paths) for note in report["notes"])


def test_the_gate_refuses_near_duplicates_where_that_is_asked_for(judged):
    workspace, config, _ = judged
    with pytest.raises(RefusedError) as refused:
        workspace.run(config, DataGateConfig(near_duplicates="fail"))
    (problem,) = refused.value.problems
    assert (problem.where, problem.code) == (
        str(Path(config.root, "images/val/val-030.png")),
        "near_duplicate",
    )
    assert "train-003.png" in problem.what and "data_gate.near_duplicates" in problem.remedy
    (path,) = (workspace.root / "gate").iterdir()
    assert str(path) in problem.remedy
    (finding,) = json.loads(path.read_text())["findings"]
    assert (finding["check"], finding["split"]) == ("near duplicates", "val")
    path.unlink()


def test_the_gate_names_images_that_are_void(write_pairs, tmp_path, workspace):
    config = write_pairs(tmp_path / "data", {"train": 4, "val": 2})
    for name in ("train-001", "train-003"):
        mask = np.full((12, 16), 255, np.uint8)
        mask[0, : int(name[-1])] = 0
        Image.fromarray(mask).save(Path(config.root, f"masks/train/{name}.png"))
    with pytest.raises(RefusedError) as refused:
        workspace.run(config, DataGateConfig(max_void_share=0.9))
    (problem,) = refused.value.problems
    assert problem.where == "mask/void_share in split train"
    assert "images: train-001, train-003" in problem.what
    assert "data_gate.max_void_share" in problem.remedy
    (path,) = (workspace.root / "gate").iterdir()
    assert str(path) in problem.remedy
    (finding,) = json.loads(path.read_text())["findings"]
    assert finding["image_ids"] == ["train-001", "train-003"]
    assert workspace.last_states()[-1] == "FAILED"
    # A higher limit reruns the gate and nothing else.
    states = workspace.run(config, DataGateConfig(max_void_share=1.0))
    assert {node for node, state in states.items() if state != "CACHED"} == {"DataGate"}


def test_the_gate_holds_data_against_what_is_served(write_pairs, tmp_path, judged):
    workspace, config, _ = judged
    statistics = Path(workspace.newest("ExampleStatistics").uri, "Split-train/FeatureStats.pb")
    for version in ("9", "10"):
        served = workspace.root / "serving" / version / "statistics/FeatureStats.pb"
        served.parent.mkdir(parents=True)
        served.write_bytes(b"" if version == "9" else statistics.read_bytes())
    workspace.run(config, DataGateConfig())
    report = json.loads(Path(workspace.newest("DataGateReport").uri, "report.json").read_text())
    assert report["served_version"] == 10
    assert {d["value"] for d in report["distances"] if d["check"] == "drift"} == {0.0}
    larger = write_pairs(tmp_path / "larger", {"train": 32, "val": 31}, height=20)
    with pytest.raises(RefusedError) as refused:
        workspace.run(larger, DataGateConfig())
    where = {problem.where: problem for problem in refused.value.problems}
    assert "image/height_px in split train" in where
    assert where["image/height_px in split train"].code == "data_drift"
    assert "train-000" in where["image/height_px in split train"].what
    assert "max_drift" in where["image/height_px in split train"].remedy
