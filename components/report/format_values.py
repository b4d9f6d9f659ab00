"""How numbers are written on the page. Undefined ones are a dash."""

from __future__ import annotations

import math

from trainer.confusion_matrix import SUMMARY_METRICS

DASH = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
NARROW_SPACE = "\N{NARROW NO-BREAK SPACE}"

METRIC_LABELS = dict(
    zip(
        SUMMARY_METRICS,
        ("Pixel accuracy", "Mean class accuracy", "Mean IoU", "Frequency-weighted IoU"),
        strict=True,
    )
)


def is_defined(value: float | None) -> bool:
    """Says whether there is a finite number."""
    return value is not None and math.isfinite(value)


def defined(value: object) -> float | None:
    """Returns a number of a JSON document, None where it is null, nan or no number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def format_metric(value: float | None, digits: int = 4) -> str:
    """Returns ``0.7421``."""
    return f"{value:.{digits}f}" if value is not None and is_defined(value) else DASH


def format_change(value: float | None, baseline: float | None, digits: int = 4) -> str:
    """Returns ``+0.0123`` or the same with a minus, and no sign where the rounded values are equal."""
    if value is None or baseline is None or not (is_defined(value) and is_defined(baseline)):
        return DASH
    change = value - baseline
    text = f"{abs(change):.{digits}f}"
    if float(text) == 0:
        return text
    return ("+" if change > 0 else MINUS) + text


def format_count(value: float | None) -> str:
    """Returns ``12,345``."""
    return f"{round(value):,}" if value is not None and is_defined(value) else DASH


def format_percent(share: float | None, digits: int = 1) -> str:
    """Returns ``3.2 %`` of a share from 0 to 1; what rounds to nothing is ``<0.1 %``."""
    if share is None or not is_defined(share):
        return DASH
    smallest = 10.0**-digits
    if 0 < share * 100 < smallest / 2:
        return f"<{smallest:.{digits}f}{NARROW_SPACE}%"
    return f"{share * 100:.{digits}f}{NARROW_SPACE}%"


def format_seconds(seconds: float | None) -> str:
    """Returns ``8.2 s``, ``3 min 12 s`` or ``2 h 5 min``."""
    if seconds is None or not is_defined(seconds):
        return DASH
    if seconds < 60:
        return f"{seconds:.1f}{NARROW_SPACE}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}{NARROW_SPACE}min {rest}{NARROW_SPACE}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}{NARROW_SPACE}h {minutes}{NARROW_SPACE}min"


def format_number(value: float | None) -> str:
    """Returns a number of any size with three significant digits (``0.00213``, ``84.3``, ``1,240``)."""
    if value is None or not is_defined(value):
        return DASH
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    if digits > 6:
        return f"{value:.1e}"
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def metric_label(name: str) -> str:
    """Returns how a metric is called on the page (``Mean IoU``, ``IoU of road``)."""
    if name.startswith("iou/"):
        return f"IoU of {name.removeprefix('iou/')}"
    return METRIC_LABELS.get(name, name)
