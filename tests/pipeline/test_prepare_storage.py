from __future__ import annotations

import os
from pathlib import Path

import pytest

from data.errors import RefusedError
from pipeline.config import PipelineConfig, load_config, preset_path
from pipeline.prepare_storage import prepare_storage
from pipeline.workspace import Workspace

ENDPOINT = "http://minio.example:9000"


def load(*overrides: str) -> PipelineConfig:
    return load_config(preset_path("digits"), overrides)


@pytest.fixture(autouse=True)
def _no_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):
        # Set first, so that what the tested function sets is taken away again.
        monkeypatch.setenv(name, "")


def test_the_endpoint_of_the_configuration_reaches_the_clients() -> None:
    prepare_storage(load(f"storage.s3_endpoint_url={ENDPOINT}"))
    assert os.environ["AWS_ENDPOINT_URL_S3"] == ENDPOINT


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"])
def test_the_environment_has_precedence(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "http://other:1")
    before = dict(os.environ)
    prepare_storage(load(f"storage.s3_endpoint_url={ENDPOINT}"))
    assert dict(os.environ) == before


@pytest.mark.parametrize("value", ["minio:9000", "http://user:word@minio:9000", "s3://bucket"])
def test_an_endpoint_that_is_no_address_is_refused(value: str) -> None:
    with pytest.raises(RefusedError, match=r"storage\.s3_endpoint_url") as refused:
        load(f"storage.s3_endpoint_url={value}")
    assert "word" not in str(refused.value)


def test_credentials_among_beams_arguments_are_refused_and_not_repeated() -> None:
    with pytest.raises(RefusedError, match=r"--s3_secret_access_key.*AWS_SECRET_ACCESS_KEY") as refused:
        prepare_storage(load("beam.args=[--s3_secret_access_key=hidden]"))
    assert "hidden" not in str(refused.value)


def test_models_go_only_where_versions_can_be_whole() -> None:
    with pytest.raises(RefusedError, match=r"push\.root: is hdfs://name/models"):
        prepare_storage(load("push.root=hdfs://name/models"))


def test_a_relative_push_root_starts_at_the_file(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(preset_path("digits").read_text().replace("beam:\n", "push: {root: models}\nbeam:\n"))
    assert load_config(file).push.root == str(tmp_path / "models")


def test_a_workspace_pushes_where_it_is_told() -> None:
    place = Path("w")
    assert Workspace(place).serving("boxes") == place / "serving/boxes"
    assert Workspace(place, push_root="s3://b/models/").serving("boxes") == "s3://b/models/boxes"


def test_a_format_whose_packages_are_missing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.check_formats.find_spec", lambda _: None)
    prepare_storage(load("push.extra_formats=[tflite]"))
    with pytest.raises(RefusedError, match=r"push\.extra_formats: names onnx, .* lacks tf2onnx"):
        prepare_storage(load("push.extra_formats=[tflite, onnx]"))


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["push.extra_formats=[onnx, onnx]"], "names a format twice"),
        (["push.tflite_weights=float16"], "does not name"),
        (["push.extra_formats=[torch]"], r"push\.extra_formats"),
        (
            ["push.extra_formats=[tflite]", "trainer.model={head: segnet, backbone: small_pooled}"],
            "head segnet puts back.*fcn8s",
        ),
    ],
)
def test_formats_that_do_not_fit_are_refused(overrides: list[str], says: str) -> None:
    with pytest.raises(RefusedError, match=says):
        load(*overrides)


def test_formats_stay_where_the_root_is_relative() -> None:
    push = load("push.root=models", "push.extra_formats=[tflite, onnx]", "push.tflite_weights=float16").push
    assert push.root == str(Path.cwd() / "models")
    assert push.wanted_formats() == {"tflite": "float16", "onnx": "float32"}
