"""The whole configuration of a pipeline: one YAML file, overrides, and refusals that name the key."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, SerializerFunctionWrapHandler, ValidationError, model_serializer

from components.check_formats import find_unfit_formats
from components.config import (
    BeamConfig,
    DataGateConfig,
    EvaluationConfig,
    PushConfig,
    SmokeTestConfig,
    StorageConfig,
)
from components.gates import validate_gates
from data.config import AugmentConfig, DataConfig, FrozenModel, TransformConfig
from data.errors import Problem, RefusedError
from pipeline.cluster.config import KubeflowConfig
from pipeline.explain_config import explain_error
from pipeline.read_yaml import YamlError, parse_yaml
from pipeline.store_address import parse_address, redact
from trainer.config import TrainerConfig
from trainer.inference_config import InferenceConfig
from trainer.search_space import find_problems
from trainer.tuner_config import TunerConfig

SAMPLE_SCHEME = "sample:"
PRESETS = Path(__file__).parent / "presets"
_MAX_CONFIG_BYTES = 1_000_000
_MAX_KEY_PARTS = 20
_SHOWN_CHARACTERS = 200


class MetadataConfig(FrozenModel):
    """Where runs are recorded."""

    store: str | None = None
    """The metadata store's address: sqlite:///file (a relative one starts at the YAML file's folder),
    mysql://user@host:port/database, postgresql://user@host:port/database or grpc://host:port. None is the
    workspace's metadata.sqlite. Passwords come from the environment (``store_address``)."""


class PipelineConfig(FrozenModel):
    """Every section; each is owned by the package that uses it."""

    name: str = Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")
    """Names the pipeline in the metadata store and the folder of its pushed versions."""
    data: DataConfig
    transform: TransformConfig
    augment: AugmentConfig = AugmentConfig()
    trainer: TrainerConfig = TrainerConfig()
    inference: InferenceConfig = InferenceConfig()
    tuner: TunerConfig | None = None
    """Searches for hyper-parameters before the training; without it, training takes those of ``trainer``."""
    data_gate: DataGateConfig = DataGateConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    smoke_test: SmokeTestConfig = SmokeTestConfig()
    push: PushConfig = PushConfig()
    storage: StorageConfig = StorageConfig()
    beam: BeamConfig = BeamConfig()
    metadata: MetadataConfig = MetadataConfig()
    kubeflow: KubeflowConfig = KubeflowConfig()

    @model_serializer(mode="wrap")
    def _leave_out_no_tuner(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Records a pipeline without a Tuner as if there were no such section."""
        return {key: value for key, value in serialize(self).items() if key != "tuner" or value is not None}


def load_config(path: Path, overrides: Iterable[str] = ()) -> PipelineConfig:
    """Reads a YAML file, applies ``key.sub=value`` overrides and validates the result.

    Args:
        path: the YAML file. A relative ``data.root``, ``push.root`` or ``trainer.model.weights`` is taken
            from the file's folder; with a preset, from the current folder.
        overrides: ``a.b=c`` each; the value is read as YAML.

    Raises:
        RefusedError: with every problem found, each naming the key's full path.
    """
    tree = _read_yaml(path)
    for override in overrides:
        apply_override(tree, override)
    config = validate_config(tree, source=str(path))
    # Whoever takes a preset gives the places by --set, and does not know where the package lies.
    folder = Path.cwd() if path.parent == PRESETS else path.resolve().parent
    if config.metadata.store is not None:
        address = parse_address(config.metadata.store, "metadata.store", folder)
        config = config.model_copy(update={"metadata": MetadataConfig(store=str(address))})
    push_root = config.push.root
    if push_root and "://" not in push_root:
        absolute = os.path.realpath(folder / push_root)
        push = config.push.model_copy(update={"root": absolute})
        config = config.model_copy(update={"push": push})
    weights = config.trainer.model.weights_path
    if weights and "://" not in weights:
        model = config.trainer.model.model_copy(update={"weights": os.path.realpath(folder / weights)})
        config = config.model_copy(update={"trainer": config.trainer.model_copy(update={"model": model})})
    root = config.data.root
    if "://" in root or root.startswith(SAMPLE_SCHEME) or Path(root).is_absolute():
        return config
    # Path.resolve raises for links that lead to themselves.
    return with_data_root(config, os.path.realpath(folder / root))


def with_data_root(config: PipelineConfig, root: str) -> PipelineConfig:
    """Returns the configuration with another ``data.root``."""
    return config.model_copy(update={"data": config.data.model_copy(update={"root": root})})


def config_json(config: PipelineConfig) -> str:
    """Returns the configuration as canonical JSON, as it is recorded and hashed."""
    return json.dumps(config.model_dump(mode="json"), sort_keys=True)


def validate_config(tree: Mapping[str, Any], source: str = "configuration") -> PipelineConfig:
    """Validates a parsed configuration.

    Raises:
        RefusedError: with a Problem for each unknown key, wrong type or impossible value.
    """
    try:
        # Through JSON, so that strict types and YAML's lists for tuples go together.
        config = PipelineConfig.model_validate_json(json.dumps(tree, default=str), strict=True)
    except ValidationError as error:
        raise RefusedError(explain_error(item, PipelineConfig, source) for item in error.errors()) from None
    if problems := _check_across_sections(config):
        raise RefusedError(problems)
    return config


def _read_yaml(path: Path) -> dict[str, Any]:
    remedy = "Name an existing YAML file; `deconvflow init DATA -o my.yaml` writes one"
    try:
        with path.open("rb") as stream:
            content = stream.read(_MAX_CONFIG_BYTES + 1)
        text = content.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is not UTF-8 text"
        raise RefusedError([Problem(str(path), reason, remedy, "config_unreadable")]) from None
    if len(content) > _MAX_CONFIG_BYTES:
        raise RefusedError([Problem(str(path), "is larger than 1 MB", remedy, "config_too_large")])
    try:
        tree = parse_yaml(text)
    except YamlError as error:
        what = redact(f"is not valid YAML: {error}")
        raise RefusedError([Problem(str(path), what, "Mend the syntax there", "config_syntax")]) from None
    if not isinstance(tree, dict):
        raise RefusedError(
            [Problem(str(path), "holds no mapping of keys to values", remedy, "config_syntax")]
        )
    return tree


def apply_override(tree: dict[str, Any], override: str, option: str = "--set") -> None:
    """Sets one key of a tree.

    Args:
        tree: as YAML gives it; changed in place.
        override: ``a.b=c``; the value is read as YAML.
        option: what gave it, for the refusal.

    Raises:
        RefusedError: if it is not of that form, or there can be no such key.
    """
    key, equals, text = override.partition("=")
    shown = redact(override)[:_SHOWN_CHARACTERS]
    is_key = re.fullmatch(r"\w+(\.[\w/ -]+)*", key) and key.count(".") < _MAX_KEY_PARTS
    if not equals or not is_key:
        raise RefusedError(
            [Problem(f"{option} {shown}", "is not of the form key.sub=value", "Write e.g. trainer.epochs=20")]
        )
    try:
        value = parse_yaml(text)
    except YamlError:
        raise RefusedError([Problem(f"{option} {shown}", "the value is not YAML", "Quote it")]) from None
    *parents, last = key.split(".")
    node: Any = tree
    for part in parents:
        node = _child(node, part, f"{option} {shown}")
    if isinstance(node, list):
        node[_index(node, last, f"{option} {shown}")] = value
    else:
        node[last] = value


def _child(node: Any, part: str, override: str) -> Any:
    key = _index(node, part, override) if isinstance(node, list) else part
    if isinstance(node, dict) and node.get(part) is None:
        # A section that is written with nothing below it.
        node[part] = {}
    child = node[key]
    if not isinstance(child, dict | list):
        raise RefusedError(
            [Problem(override, f"{part[:40]} is a value and has no keys below it", "Name the key itself")]
        )
    return child


def _index(node: list[Any], part: str, override: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", part) or int(part) >= len(node):
        raise RefusedError(
            [
                Problem(
                    override,
                    f"{part[:_SHOWN_CHARACTERS]} is no index of a list of {len(node)}",
                    "Count from 0",
                )
            ]
        )
    return int(part)


def _check_across_sections(config: PipelineConfig) -> list[Problem]:
    """Finds values that are possible alone but not together."""
    problems = validate_gates(config.evaluation, [entry.name for entry in config.data.classes])
    problems += find_unfit_formats(config.push.extra_formats, config.trainer.model.head)
    if config.tuner is not None:
        problems += find_problems(config.tuner, config.trainer, config.augment)
    if config.metadata.store is not None:
        try:
            parse_address(config.metadata.store, "metadata.store")
        except RefusedError as refused:
            problems += refused.problems
    crop = (config.augment.crop_height_px, config.augment.crop_width_px)
    if (crop[0] is None) != (crop[1] is None):
        problems.append(
            Problem(
                "augment.crop_height_px",
                "and augment.crop_width_px go together",
                "Set both, or neither to train on the whole working size",
                "config_bad_value",
            )
        )
    return problems


def preset_path(name: str) -> Path:
    """Returns the YAML file of a preset that comes with the package.

    Raises:
        RefusedError: if there is none of that name.
    """
    presets = {path.stem: path for path in PRESETS.glob("*.yaml")}
    if name not in presets:
        raise RefusedError(
            [Problem(f"preset {name}", "does not exist", f"Take one of: {', '.join(sorted(presets))}")]
        )
    return presets[name]
