"""From images in an object store to a model pushed there, through the command line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

pytestmark = [
    pytest.mark.slow,
    pytest.mark.journey,
    pytest.mark.long,
    pytest.mark.timeout(900),
]

SECRET = "secret-that-nobody-may-read"


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A server of the S3 API with an empty bucket; its credentials are in the environment."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patched:
        for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
            patched.delenv(name, raising=False)
        patched.setenv("AWS_ACCESS_KEY_ID", "key")
        patched.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        patched.setenv("AWS_DEFAULT_REGION", "us-east-1")
        client = boto3.client("s3", endpoint_url=f"http://{host}:{port}")
        client.create_bucket(Bucket="lake")
        yield SimpleNamespace(url=f"http://{host}:{port}", client=client)
    server.stop()


@pytest.fixture(scope="module")
def journey(
    s3: Any,
    tmp_path_factory: pytest.TempPathFactory,
    deconvflow: Callable[..., Any],
    make_boxes: Callable[[Path], Path],
    write_config: Callable[..., Path],
) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("journey")
    boxes = make_boxes(folder / "boxes")
    for path in sorted(boxes.rglob("*.png")):
        key = f"boxes/{path.relative_to(boxes).as_posix()}"
        s3.client.put_object(Bucket="lake", Key=key, Body=path.read_bytes())
    config = write_config(
        folder / "boxes.yaml",
        "s3://lake/boxes",
        push={"root": "s3://lake/serving"},
        storage={"s3_endpoint_url": s3.url},
    )
    return folder, deconvflow("run", "--config", config, "-w", folder / "workspace", "--json")


def test_images_are_read_there_and_the_model_is_pushed_there(s3: Any, journey: tuple[Path, Any]) -> None:
    folder, done = journey
    assert done.status == 0, done.stderr[-3000:]
    assert done.document["pushed_uri"] == "s3://lake/serving/boxes/1"
    assert done.document["metrics"]["test"]["mean_iou"] > 0.5
    keys = [entry["Key"] for entry in s3.client.list_objects_v2(Bucket="lake", Prefix="serving/")["Contents"]]
    names = {key.removeprefix("serving/boxes/1/") for key in keys}
    assert {"saved_model.pb", "manifest.json", "statistics/FeatureStats.pb"} <= names
    manifest = json.loads(
        s3.client.get_object(Bucket="lake", Key="serving/boxes/1/manifest.json")["Body"].read()
    )
    assert manifest["metrics"]["test"]["mean_iou"] == done.document["metrics"]["test"]["mean_iou"]
    assert not (folder / "workspace/serving").exists()


def test_no_secret_is_left_anywhere(journey: tuple[Path, Any]) -> None:
    files = [path for path in (journey[0] / "workspace").rglob("*") if path.is_file()]
    assert len(files) > 50
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []


def test_the_other_commands_know_it(
    s3: Any, journey: tuple[Path, Any], deconvflow: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = journey
    workspace = folder / "workspace"
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3.url)
    traced = deconvflow("lineage", "s3://lake/serving/boxes/1", "-w", workspace, "--json")
    assert traced.status == 0, traced.stderr
    assert "s3://lake/boxes/images/train/scene_000.png" in traced.stdout
    image = folder / "boxes/images/test/scene_000.png"
    done = deconvflow("predict", "-w", workspace, "--model", "boxes", image, "-o", folder / "masks", "--json")
    assert done.status == 0, done.stderr
    assert (done.document["model"]["name"], done.document["model"]["version"]) == ("boxes", 1)


def test_init_and_check_read_there(
    s3: Any, journey: tuple[Path, Any], deconvflow: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = journey
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3.url)
    written = deconvflow("init", "s3://lake/boxes", "-o", folder / "found.yaml", "--json")
    assert written.status == 0, written.stderr
    config = yaml.safe_load((folder / "found.yaml").read_text())
    assert config["data"]["root"] == "s3://lake/boxes"
    checked = deconvflow("check", "--config", folder / "found.yaml", "--json")
    assert checked.status == 0 and checked.document["problems"] == []
    refused = deconvflow("check", "s3://nowhere/boxes")
    assert refused.status == 2 and "there is no bucket nowhere" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_an_unchanged_run_is_all_from_the_cache(
    journey: tuple[Path, Any], deconvflow: Callable[..., Any]
) -> None:
    folder, _ = journey
    again = deconvflow("run", "--config", folder / "boxes.yaml", "-w", folder / "workspace", "--json")
    assert again.status == 0, again.stderr[-3000:]
    assert {name for name, state in again.states.items() if state != "cached"} == {"DataGate"}
    assert again.document["pushed_uri"] == "s3://lake/serving/boxes/1"


def test_a_new_model_is_held_against_the_one_in_the_store(
    s3: Any, journey: tuple[Path, Any], deconvflow: Callable[..., Any]
) -> None:
    folder, _ = journey
    again = deconvflow(
        "run", "--config", folder / "boxes.yaml", "-w", folder / "workspace", "--json",
        "--set", "trainer.seed=1", "--set", "evaluation.gates.max_drop={mean_iou: 1.0}",
    )  # fmt: skip
    assert again.status == 0, again.stderr[-3000:]
    assert again.document["pushed_uri"] == "s3://lake/serving/boxes/2"
