"""What pydantic found wrong with a configuration, as problems that name the key's full path."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from typing import Any, get_args

from pydantic import BaseModel

from data.errors import Problem
from pipeline.store_address import password_remedy, redact

_MISSING_REMEDIES = {
    "data.classes": "Add the class table, one row each: - {id: 0, name: background}; init writes it",
    "data.root": "Give the folder of the data set",
}


def explain_error(item: Any, root: type[BaseModel], source: str) -> Problem:
    """Turns one pydantic error into a Problem whose place is the key's full path.

    Args:
        item: one of ``ValidationError.errors()``.
        root: the model that was validated.
        source: what holds the configuration.
    """
    path, models, known = _follow(item["loc"], root)
    where = ".".join(str(part) for part in path) or source
    kind, value = item["type"], item.get("input")
    if kind == "extra_forbidden":
        if where == "metadata.password":
            return Problem(where, "is not for a configuration", password_remedy(), "config_unknown_key")
        close = difflib.get_close_matches(str(path[-1]), known, n=1)
        remedy = f"Did you mean {close[0]}?" if close else f"Remove it; known keys: {', '.join(known)}"
        return Problem(where, "is not a key of the configuration", remedy, "config_unknown_key")
    if kind == "missing":
        remedy = _MISSING_REMEDIES.get(where, f"Add it to {source}")
        return Problem(where, "is missing", remedy, "config_missing_key")
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return _explain_tag(where, item, models)
    message = item["msg"].removeprefix("Value error, ").replace("Input should be", "should be")
    if isinstance(value, dict) or (kind == "value_error" and not isinstance(value, str | int | float)):
        return Problem(where, message, "Change the configuration accordingly", "config_bad_value")
    return Problem(where, f"is {_shorten(value)}: {message}", f"Change {where}", "config_bad_value")


def _explain_tag(where: str, item: Any, models: Sequence[type[BaseModel]]) -> Problem:
    """Explains the key by which a union's members are told apart, such as a loss' name."""
    key = item["ctx"]["discriminator"].strip("'")
    names = [str(name) for model in models for name in get_args(model.model_fields[key].annotation)]
    remedy = f"Take one of {', '.join(names)}"
    if "tag" not in item["ctx"]:
        return Problem(f"{where}.{key}", "is missing", remedy, "config_missing_key")
    tag = item["ctx"]["tag"]
    if close := difflib.get_close_matches(str(tag), names, n=1):
        remedy = f"Did you mean {close[0]}?"
    return Problem(f"{where}.{key}", f"is {_shorten(tag)}, which there is not", remedy, "config_bad_value")


def _shorten(value: Any) -> str:
    text = redact(json.dumps(value, default=str))
    return text if len(text) <= 80 else text[:77] + "..."


def _follow(
    parts: Sequence[Any], root: type[BaseModel]
) -> tuple[list[Any], list[type[BaseModel]], list[str]]:
    """Follows the place that pydantic gives of an error.

    Returns:
        The path of keys and indices, without the names by which pydantic tells a union's members apart; the
        models that may stand there; and the keys that are known beside the last one.
    """
    models, path, known = [root], list[Any](), list[str]()
    for part in parts:
        if part in ("function-after", "constrained-str"):
            continue
        if len(models) > 1 and not isinstance(part, int):
            models = [model for model in models if part in _list_tags(model)] or models[:1]
            continue
        path.append(part)
        if isinstance(part, int) or not models:
            continue
        fields = models[0].model_fields
        known = sorted(fields)
        models = _find_models(fields[part].annotation) if part in fields else []
    return path, models, known


def _find_models(annotation: Any) -> list[type[BaseModel]]:
    """Returns the models that an annotation speaks of: several where it is a union of them."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _find_models(argument)]


def _list_tags(model: type[BaseModel]) -> list[Any]:
    return [value for field in model.model_fields.values() for value in get_args(field.annotation)]
