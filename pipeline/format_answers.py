"""How values of past runs are written in tables and trees."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from rich.markup import escape

from pipeline.history.run_documents import Changes, ConfigurationChange

_COLOURS = {
    "pushed": "green",
    "complete": "green",
    "cached": "cyan",
    "failed": "red",
    "refused": "red",
    "not blessed": "yellow",
}
_MAX_CHANGES = 4


def format_seconds(seconds: float) -> str:
    """Returns ``75`` as ``1 min 15 s``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def format_time(seconds: float) -> str:
    """Returns a time since the epoch as local time."""
    return f"{datetime.fromtimestamp(seconds):%Y-%m-%d %H:%M}"


def format_share(value: float | None, if_none: str = "") -> str:
    """Returns four digits."""
    return if_none if value is None else f"{value:.4f}"


def format_difference(value: float | None) -> str:
    """Returns four digits with their sign."""
    if value is None:
        return ""
    return f"{value:+.4f}" if value else "0"


def name_metric(name: str) -> str:
    """Returns a metric's name as it is read: ``mean IoU``, ``IoU road``."""
    if name.startswith("iou/"):
        return f"IoU {name.removeprefix('iou/')}"
    return name.replace("_", " ").replace("iou", "IoU")


def short(fingerprint: str | None) -> str:
    """Returns the first eight digits of a fingerprint."""
    return (fingerprint or "")[:8]


def mark_status(status: str) -> str:
    """Returns a state in its colour."""
    return f"[{_COLOURS.get(status, 'yellow')}]{escape(status)}[/]"


def format_value(value: Any, limit: int = 60) -> str:
    """Returns a JSON value on one line of at most ``limit`` characters."""
    if isinstance(value, float):
        value = round(value, 6)
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    text = " ".join(text.split()) or '""'
    return text if len(text) <= limit else text[: limit - 3] + "..."


def format_changes(changes: Changes) -> str:
    """Returns what was different from the run before, in one line."""
    parts = [format_change(change) for change in changes.configuration[:_MAX_CHANGES]]
    if len(changes.configuration) > _MAX_CHANGES:
        parts.append(f"{len(changes.configuration) - _MAX_CHANGES} more keys")
    parts += [name for name in ("data", "code", "environment") if getattr(changes, name)]
    return ", ".join(parts)


def format_change(change: ConfigurationChange) -> str:
    """Returns ``trainer.epochs 20 → 30``."""
    if change.kind == "removed":
        return f"{change.key} unset"
    after = format_value(change.after, 30)
    if change.kind == "added":
        return f"{change.key} = {after}"
    return f"{change.key} {format_value(change.before, 30)} → {after}"
