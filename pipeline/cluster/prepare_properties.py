"""From the execution properties that were compiled to those that a step's executor gets."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from data.errors import Problem, RefusedError
from data.replace_file import replace_file
from pipeline.config import SAMPLE_SCHEME, apply_override

CODE_MARK = "code:"
"""Begins a fingerprint of code in a compiled pipeline; the names of packages follow. It is taken where the
code runs: the compiling machine's may be another."""
TEXT_MARK = "text:"
"""Begins a file's content in place of its path."""
SCHEMA_FILE = "schema_file"

_SECTIONS = {"data_config": "data", "gate_config": "data_gate", "evaluation_config": "evaluation"}
"""Execution properties that hold one section of the configuration as JSON."""


def mark_code(packages: Iterable[str]) -> str:
    """Returns what stands for a fingerprint of packages in a compiled pipeline."""
    return CODE_MARK + ",".join(packages)


def merge_overrides(properties: Mapping[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """Puts overrides into execution properties, and takes the fingerprints of code.

    Args:
        properties: of TFX; only those of which every JSON is ours are looked into.
        overrides: ``KEY=VALUE`` each. An empty VALUE keeps what was compiled, and so does a KEY of a
            section that no property holds.

    Raises:
        RefusedError: if a value is impossible; it names the key.
    """
    wanted = [override for override in overrides if not override.endswith("=")]
    merged = {name: _take_fingerprint(value) for name, value in properties.items()}
    for name, section in _SECTIONS.items():
        if name in merged:
            tree = _apply({section: json.loads(merged[name])}, wanted)
            merged[name] = _validate_section(section, tree[section])
    if "pipeline_config" in merged:
        merged["pipeline_config"] = _validate_whole(_apply(json.loads(merged["pipeline_config"]), wanted))
    if "custom_config" in merged:
        merged["custom_config"] = _merge_custom_config(merged["custom_config"], wanted)
    if "eval_config" in merged and "evaluation_config" in merged:
        merged["eval_config"] = _rebuild_eval_config(merged)
    return merged


def expand_properties(properties: Mapping[str, Any], scratch: Path) -> dict[str, Any]:
    """Writes what a step finds in no store, and puts the paths into the properties.

    Args:
        properties: of ``merge_overrides``.
        scratch: a folder that this step may write to; made where it does not exist.
    """
    expanded = dict(properties)
    if "data_config" in expanded:
        data = json.loads(expanded["data_config"])
        if data["root"].startswith(SAMPLE_SCHEME):
            data["root"] = str(_write_sample(data["root"], scratch))
            expanded["data_config"] = json.dumps(data)
    text = expanded.get(SCHEMA_FILE)
    if isinstance(text, str) and text.startswith(TEXT_MARK):
        expanded[SCHEMA_FILE] = str(_write_text(text.removeprefix(TEXT_MARK), scratch))
    return expanded


def _take_fingerprint(value: Any) -> Any:
    if not (isinstance(value, str) and value.startswith(CODE_MARK)):
        return value
    from pipeline.fingerprint_code import fingerprint_code

    # RunReport appends its templates' fingerprint to that of its code.
    names, slash, rest = value.removeprefix(CODE_MARK).partition("/")
    return fingerprint_code(names.split(",")) + slash + rest


def _apply(tree: dict[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    for override in overrides:
        if override.partition(".")[0] in tree:
            apply_override(tree, override, "--override")
    return tree


def _merge_custom_config(text: str, overrides: Iterable[str]) -> str:
    """Merges into the sections of the configuration that Transform's and Trainer's own property holds."""
    custom = {name: _take_fingerprint(value) for name, value in json.loads(text).items()}
    if "config" in custom:
        sections = _apply(json.loads(custom["config"]), overrides)
        for section, tree in sections.items():
            sections[section] = json.loads(_validate_section(section, tree))
        custom["config"] = json.dumps(sections, sort_keys=True)
    return json.dumps(custom, sort_keys=True)


def _validate_section(section: str, tree: Any) -> str:
    from pipeline.config import PipelineConfig

    model = PipelineConfig.model_fields[section].annotation
    assert model is not None
    try:
        return model.model_validate_json(json.dumps(tree), strict=True).model_dump_json()
    except ValidationError as error:
        raise RefusedError(_explain(section, item) for item in error.errors()) from None


def _explain(section: str, item: Any) -> Problem:
    where = ".".join([section, *(str(part) for part in item["loc"])])
    what = f"is {json.dumps(item.get('input'), default=str)[:80]}: {item['msg']}"
    return Problem(where, what, f"Give the run another value for {where}", "config_bad_value")


def _validate_whole(tree: dict[str, Any]) -> str:
    from pipeline.config import config_json, validate_config

    return config_json(validate_config(tree))


def _rebuild_eval_config(properties: Mapping[str, Any]) -> str:
    """Returns TFMA's configuration of the gates and of the code as they are now."""
    from google.protobuf import json_format

    from components.build_eval_config import build_eval_config
    from components.config import EvaluationConfig

    config = EvaluationConfig.model_validate_json(properties["evaluation_config"])
    names = json.loads(properties["class_names"])
    built = build_eval_config(config, names, properties["code_fingerprint"])
    text: str = json_format.MessageToJson(built, sort_keys=True)
    return text


def _write_sample(root: str, scratch: Path) -> Path:
    from data.digits.write_sample import write_digits_sample

    return write_digits_sample(scratch / "samples" / root.removeprefix(SAMPLE_SCHEME))


def _write_text(text: str, scratch: Path) -> Path:
    folder = scratch / "schemas" / hashlib.sha256(text.encode()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "schema.pbtxt"
    replace_file(path, text)
    return path
