"""What is mended in specifications of TFX's compiler."""

from __future__ import annotations

import pytest

from pipeline.cluster import mend_spec
from pipeline.cluster.config import NODES, StepConfig
from pipeline.cluster.runtime_parameters import RuntimeParameter
from pipeline.config import load_config, preset_path, validate_config


def test_producers_are_named_by_their_tasks(spec):
    source = spec["root"]["dag"]["tasks"]["Train"]["inputs"]["parameters"]["found"]["taskOutputParameter"]
    source["producerTask"] = "Look_task"
    mend_spec.mend_producers(spec)
    assert source["producerTask"] == "Look"


def test_a_task_whose_name_ends_that_way_keeps_it(spec):
    tasks = spec["root"]["dag"]["tasks"]
    source = tasks["Train"]["inputs"]["parameters"]["found"]["taskOutputParameter"]
    tasks["Look_task"] = tasks["Look"]
    source["producerTask"] = "Look_task"
    mend_spec.mend_producers(spec)
    assert source["producerTask"] == "Look_task"


def test_the_schemas_path_becomes_its_text(spec, tmp_path):
    path = tmp_path / "schema.pbtxt"
    path.write_text("feature { }\n")
    parameters = spec["root"]["dag"]["tasks"]["Look"]["inputs"]["parameters"]
    parameters["schema_file"] = {"runtimeValue": {"constant": str(path)}}
    mend_spec.inline_schema(spec)
    assert parameters["schema_file"]["runtimeValue"]["constant"] == "text:feature { }\n"


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (StepConfig(), None),
        (StepConfig(cpu="500m"), {"resourceCpuRequest": "500m", "cpuRequest": 0.5}),
        (StepConfig(memory_limit="1Ki"), {"resourceMemoryLimit": "1Ki", "memoryLimit": 1.024e-6}),
        (StepConfig(memory_limit="5M"), {"resourceMemoryLimit": "5M", "memoryLimit": 0.005}),
        (StepConfig(memory_limit="2000000000"), {"resourceMemoryLimit": "2000000000", "memoryLimit": 2.0}),
        (
            StepConfig(memory="2Gi", memory_limit="4G"),
            {
                "resourceMemoryRequest": "2Gi",
                "memoryRequest": 2.147483648,
                "resourceMemoryLimit": "4G",
                "memoryLimit": 4.0,
            },
        ),
    ],
)
def test_resources_in_texts_and_in_cores_and_gigabytes(spec, step, expected):
    mend_spec.set_resources(spec, "Train", step)
    assert mend_spec.container_of(spec, "Train").get("resources") == expected


def test_caching_that_nobody_may_switch_on(spec):
    spec["root"]["dag"]["tasks"]["DataGate"] = {}
    mend_spec.set_policies(spec, "DataGate", StepConfig(cache=True))
    mend_spec.set_policies(spec, "Train", StepConfig(cache=True, retries=1, retry_after_seconds=5))
    tasks = spec["root"]["dag"]["tasks"]
    assert tasks["DataGate"]["cachingOptions"] == {}
    assert tasks["Train"]["cachingOptions"] == {"enableCache": True}
    assert tasks["Train"]["retryPolicy"]["backoffDuration"] == "5s"


def test_a_runtime_parameter_goes_to_its_readers_only(spec):
    parameter = RuntimeParameter("data_root", "data.root", "STRING", "s3://b", "Where images are")
    for node in parameter.readers:
        spec["components"][node] = {}
        spec["root"]["dag"]["tasks"][node] = {}
    mend_spec.add_parameters(spec, [parameter])
    root = spec["root"]["inputDefinitions"]["parameters"]["data_root"]
    assert (root["parameterType"], root["defaultValue"], root["isOptional"]) == ("STRING", "s3://b", True)
    assert spec["root"]["dag"]["tasks"]["DatasetSnapshot"]["inputs"]["parameters"] == {
        "data_root": {"componentInputParameter": "data_root"}
    }
    assert "data_root" not in spec["components"]["Train"]["inputDefinitions"]["parameters"]


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        # Every service's address is kfp's own MinIO by default; the images may be in another store.
        (None, "https://store.example"),
        ({"AWS_ENDPOINT_URL": "http://elsewhere"}, "https://store.example"),
        ({"AWS_ENDPOINT_URL_S3": "http://in-the-cluster"}, "http://in-the-cluster"),
    ],
)
def test_steps_are_told_of_the_object_store(environment, expected):
    section = {} if environment is None else {"defaults": {"environment": environment}}
    tree = {"storage": {"s3_endpoint_url": "https://store.example"}, "kubeflow": section}
    config = load_config(preset_path("digits")).model_dump(mode="json") | tree
    for node in NODES:
        variables = mend_spec.variables_of(validate_config(config), node, None)
        assert variables["AWS_ENDPOINT_URL_S3"] == expected
    del config["storage"]
    without = mend_spec.variables_of(validate_config(config), "Pusher", None)
    assert without.get("AWS_ENDPOINT_URL_S3") == (environment or {}).get("AWS_ENDPOINT_URL_S3")
