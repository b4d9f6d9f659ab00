"""The executors of Pusher and BaselineModel on real artifacts, without a pipeline around them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.manifest import list_versions, read_manifest
from data.classes import ClassTable, SegmentationClass
from data.errors import Problem, RefusedError

pytestmark = pytest.mark.slow

TABLE = ClassTable((SegmentationClass(0, "ground", (1, 2, 3)), SegmentationClass(1, "tree", (4, 5, 6))), 255)


def model_in(folder: Path, weights: bytes = b"weights") -> Any:
    from tfx.types import standard_artifacts

    (folder / "Format-Serving").mkdir(parents=True)
    (folder / "Format-Serving/saved_model.pb").write_bytes(weights)
    model = standard_artifacts.Model()
    model.uri = str(folder)
    return model


@pytest.fixture
def push(tmp_path: Path) -> Callable[..., Any]:
    """Pushes a model with the given blessings; returns the pushed_model artifact."""

    def run(model_blessed: int = 1, infra_blessed: int = 1, **config: Any) -> Any:
        from google.protobuf import json_format
        from tfx.proto import pusher_pb2
        from tfx.types import standard_artifacts

        from components.pusher import Executor

        model_blessing, infra_blessing = (
            standard_artifacts.ModelBlessing(),
            standard_artifacts.InfraBlessing(),
        )
        model_blessing.uri = str(tmp_path / "blessing")
        model_blessing.set_int_custom_property("blessed", model_blessed)
        infra_blessing.set_int_custom_property("blessed", infra_blessed)
        (tmp_path / "blessing").mkdir()
        (tmp_path / "blessing/verdict.json").write_text('{"metrics": {}, "data_fingerprint": "data-1"}')
        statistics = standard_artifacts.ExampleStatistics()
        statistics.uri, statistics.split_names = str(tmp_path / "statistics"), '["train", "test"]'
        for split in ("train", "test"):
            (tmp_path / f"statistics/Split-{split}").mkdir(parents=True)
            (tmp_path / f"statistics/Split-{split}/FeatureStats.pb").write_bytes(split.encode())
        examples = standard_artifacts.Examples()
        examples.uri, examples.split_names = str(tmp_path / "examples"), '["val", "test"]'
        pushed = standard_artifacts.PushedModel()
        pushed.uri = str(tmp_path / "pushed")
        destination = pusher_pb2.PushDestination(
            filesystem=pusher_pb2.PushDestination.Filesystem(base_directory=str(tmp_path / "serving"))
        )
        Executor(Executor.Context(pipeline_run_id="run-7")).Do(
            {
                "model": [model_in(tmp_path / "model")],
                "model_blessing": [model_blessing],
                "infra_blessing": [infra_blessing],
                "statistics": [statistics],
                "examples": [examples],
            },
            {"pushed_model": [pushed]},
            {
                "push_destination": json_format.MessageToJson(destination),
                "custom_config": json.dumps(
                    {"name": "scenes", "class_table": TABLE.to_json(), "code_fingerprint": "code-1"} | config
                ),
            },
        )
        return pushed

    return run


def test_a_blessed_model_is_pushed_with_its_training_statistics(push: Any, tmp_path: Path) -> None:
    pushed = push()

    version = tmp_path / "serving/1"
    assert pushed.get_int_custom_property("pushed") == 1
    assert pushed.get_string_custom_property("pushed_destination") == str(version)
    assert pushed.get_string_custom_property("pushed_version") == "1"
    assert (version / "statistics/FeatureStats.pb").read_bytes() == b"train"
    assert (version / "saved_model.pb").read_bytes() == b"weights"
    assert read_manifest(str(version)).run_id == "run-7"
    assert json.loads((tmp_path / "pushed/manifest.json").read_text())["version"] == 1


@pytest.mark.parametrize("blessings", [(0, 1), (1, 0)], ids=["by the evaluation", "by the smoke test"])
def test_a_refused_model_leaves_the_serving_root_alone(
    push: Any, tmp_path: Path, blessings: tuple[int, int]
) -> None:
    pushed = push(*blessings)

    assert pushed.get_int_custom_property("pushed") == 0
    assert not (tmp_path / "serving").exists()


def test_extra_formats_are_tried_on_the_examples_before_anything_is_written(
    push: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tensorflow as tf

    from components.make_formats import FormatMaker

    (tmp_path / "examples/Split-test").mkdir(parents=True)
    with tf.io.TFRecordWriter(str(tmp_path / "examples/Split-test/data-0")) as writer:
        for number in range(5):
            writer.write(f"example {number}".encode())
    asked = []

    def refuse(maker: FormatMaker, model_dir: str, folder: Path) -> None:
        asked.append((maker, model_dir))
        raise RefusedError([Problem("push.extra_formats", "cannot be made", "Take it out")])

    monkeypatch.setattr(FormatMaker, "make", refuse)
    with pytest.raises(RefusedError, match="cannot be made"):
        push(formats={"wanted": {"tflite": "float16"}, "split": "test", "images": 3})
    maker = FormatMaker({"tflite": "float16"}, [b"example 0", b"example 1", b"example 2"])
    assert asked == [(maker, str(tmp_path / "model/Format-Serving"))]
    assert not (tmp_path / "serving").exists()


@pytest.mark.parametrize("found", [None, "driver"])
def test_the_baseline_is_the_same_with_and_without_a_driver(
    push: Any, tmp_path: Path, found: str | None
) -> None:
    from tfx.types import standard_artifacts

    from components.baseline_model import Driver, Executor

    push()
    inputs = {"model": [model_in(tmp_path / "other", b"other")]}
    properties: dict[str, Any] = {
        "serving_root": str(tmp_path / "serving"),
        "class_table": json.dumps(TABLE.to_json()),
    }
    if found:
        properties |= Driver(None).find(inputs, properties)
    output = standard_artifacts.String()
    output.uri = str(tmp_path / "value")

    Executor().Do(inputs, {"baseline_uri": [output]}, properties)

    assert list_versions(str(tmp_path / "serving")) == (1,)
    assert output.value.startswith(f"{tmp_path}/serving/1#model=")
