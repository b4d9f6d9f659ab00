"""What executors get of what was compiled, and of what a run overrides."""

from __future__ import annotations

import json

import pytest

from data.errors import RefusedError
from pipeline.cluster.prepare_properties import expand_properties, mark_code, merge_overrides
from pipeline.config import config_json, validate_config
from pipeline.fingerprint_code import fingerprint_code


@pytest.fixture
def config(tree):
    return validate_config(tree)


def test_without_overrides_properties_are_those_of_a_local_run(config):
    local = {"data_config": config.data.model_dump_json(), "pipeline_config": config_json(config)}
    indented = {name: json.dumps(json.loads(text), indent=1, sort_keys=True) for name, text in local.items()}
    assert merge_overrides(indented, []) == local


def test_an_override_reaches_its_section_wherever_that_is(config):
    sections = {
        "trainer": config.trainer.model_dump(mode="json"),
        "data": config.data.model_dump(mode="json"),
    }
    custom = json.dumps({"config": json.dumps(sections), "code_fingerprint": "f", "validate": True})
    merged = merge_overrides(
        {"custom_config": custom, "pipeline_config": config_json(config)},
        ["trainer.epochs=7", "trainer.learning_rate=0.00001"],
    )
    trainer = json.loads(json.loads(merged["custom_config"])["config"])["trainer"]
    assert (trainer["epochs"], trainer["learning_rate"]) == (7, 1e-5)
    assert json.loads(merged["pipeline_config"])["trainer"] == trainer
    assert json.loads(merged["custom_config"])["validate"] is True


def test_an_empty_value_keeps_what_was_compiled(config):
    properties = {"gate_config": config.data_gate.model_dump_json()}
    assert merge_overrides(properties, ["data_gate.max_drift="]) == properties


def test_values_of_other_sections_are_left_alone(config):
    properties = {"gate_config": config.data_gate.model_dump_json(), "serving_root": "s3://b", "splits": 3}
    assert merge_overrides(properties, ["trainer.epochs=2"]) == properties


@pytest.mark.parametrize(
    ("override", "where"),
    [
        ("data_gate.max_drift=2", "data_gate.max_drift"),
        ("data_gate.max_drift=much", "data_gate.max_drift"),
        ("data_gate.drift=0.1", "data_gate.drift"),
    ],
)
def test_impossible_values_are_refused_by_their_key(config, override, where):
    with pytest.raises(RefusedError) as caught:
        merge_overrides({"gate_config": config.data_gate.model_dump_json()}, [override])
    assert caught.value.problems[0].where == where


def test_fingerprints_are_of_the_code_that_is_here():
    packages = ["components.gates", "components.manifest"]
    custom = json.dumps({"code_fingerprint": mark_code(packages)})
    merged = merge_overrides({"code_fingerprint": mark_code(packages), "custom_config": custom}, [])
    expected = fingerprint_code(packages)
    assert merged["code_fingerprint"] == expected
    assert json.loads(merged["custom_config"]) == {"code_fingerprint": expected}


@pytest.mark.slow
def test_tfmas_configuration_follows_the_gates(config):
    from google.protobuf import json_format

    from components.build_eval_config import build_eval_config
    from components.config import EvaluationConfig

    properties = {
        "evaluation_config": config.evaluation.model_dump_json(),
        "eval_config": "{}",
        "class_names": '["background", "thing"]',
        "code_fingerprint": "abc",
    }
    merged = merge_overrides(properties, ["evaluation.gates.floors.mean_iou=0.625"])
    gates = EvaluationConfig.model_validate_json(merged["evaluation_config"])
    assert gates.gates.floors == {"mean_iou": 0.625}
    built = build_eval_config(gates, ["background", "thing"], "abc")
    assert merged["eval_config"] == json_format.MessageToJson(built, sort_keys=True)
    assert "0.625" in merged["eval_config"]


def test_the_schemas_text_becomes_a_file_named_by_it(tmp_path):
    expanded = expand_properties({"schema_file": "text:feature { }\n"}, tmp_path / "scratch")
    again = expand_properties({"schema_file": "text:feature { }\n"}, tmp_path / "scratch")
    other = expand_properties({"schema_file": "text:feature { name: 1 }\n"}, tmp_path / "scratch")
    with open(expanded["schema_file"]) as file:  # noqa: PTH123
        assert file.read() == "feature { }\n"
    assert expanded == again != other


def test_paths_stay_as_they_are(tmp_path, config):
    properties = {"schema_file": "/mnt/schema.pbtxt", "data_config": config.data.model_dump_json()}
    assert expand_properties(properties, tmp_path / "scratch") == properties
    assert not (tmp_path / "scratch").exists()


def test_the_sample_is_written_once_and_found_again(tmp_path, config, monkeypatch):
    from data.digits import write_sample

    written = []
    monkeypatch.setattr(write_sample, "write_digits_sample", lambda root: written.append(root) or root)
    sample = config.data.model_copy(update={"root": "sample:digits"}).model_dump_json()
    expanded = expand_properties({"data_config": sample}, tmp_path)
    assert written == [tmp_path / "samples/digits"]
    assert json.loads(expanded["data_config"])["root"] == str(tmp_path / "samples/digits")
