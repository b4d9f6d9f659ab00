"""Line charts over epochs: where ticks, lines and dots of an SVG go. No drawing library."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from components.report.facts import Epoch, Number
from components.report.format_values import format_metric, format_number

WIDTH, HEIGHT = 340, 200
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 12, 28
_MAX_DOTS = 60


@dataclass(frozen=True)
class Tick:
    """A labelled place on an axis."""

    position: float
    label: str


@dataclass(frozen=True)
class Dot:
    """One value of a series."""

    x: float
    y: float
    text: str


@dataclass(frozen=True)
class Line:
    """One series."""

    name: str
    is_main: bool
    """The main line is in the accent colour, the other grey and dashed."""
    path: str
    dots: tuple[Dot, ...]
    """Empty where there are too many to tell apart."""
    last: Dot
    best: Dot | None


@dataclass(frozen=True)
class Chart:
    """A chart with the sentence that replaces it for those who do not see it."""

    title: str
    text: str
    lines: tuple[Line, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


@dataclass(frozen=True)
class Series:
    """Values over epochs; ``highest_is_best`` marks the maximum."""

    name: str
    points: tuple[tuple[int, float], ...]
    highest_is_best: bool = False


def draw_learning_curves(history: Sequence[Epoch]) -> tuple[Chart, ...]:
    """Returns the charts of a history: loss, metrics on the validation split, learning rate."""

    def series(name: str, value: Callable[[Epoch], Number], highest_is_best: bool = False) -> Series:
        points = [(epoch.epoch, value(epoch)) for epoch in history]
        return Series(name, tuple((x, y) for x, y in points if y is not None), highest_is_best)

    loss = (
        series("training", lambda epoch: epoch.training_loss),
        series("validation", lambda epoch: epoch.validation.get("loss")),
    )
    metrics = (
        series("mean IoU", lambda epoch: epoch.validation.get("mean_iou"), highest_is_best=True),
        series("pixel accuracy", lambda epoch: epoch.validation.get("pixel_accuracy")),
    )
    rate = (series("learning rate", lambda epoch: epoch.learning_rate),)
    charts = [
        draw_chart("Loss", loss, format_number),
        draw_chart("Validation metrics", metrics, format_metric),
        draw_chart("Learning rate", rate, format_number),
    ]
    return tuple(chart for chart in charts if chart is not None)


def draw_chart(title: str, series: Sequence[Series], number: Callable[[float], str]) -> Chart | None:
    """Returns the chart of the series that have points, None if none has.

    Args:
        title: what the chart is about.
        series: the first is the main one.
        number: writes a value.
    """
    drawn = [one for one in series if one.points]
    if not drawn:
        return None
    epochs = [x for one in drawn for x, _ in one.points]
    values = [y for one in drawn for _, y in one.points]
    x_ticks = _whole_ticks(min(epochs), max(epochs))
    y_ticks = choose_ticks(min(values), max(values))
    x_range, y_range = (min(epochs), max(epochs)), (y_ticks[0], y_ticks[-1])
    return Chart(
        title=title,
        text=" ".join(_describe(title, one, number) for one in drawn),
        lines=tuple(_draw_line(one, one is series[0], x_range, y_range, number) for one in drawn),
        x_ticks=tuple(Tick(_x(x, x_range), str(x)) for x in x_ticks),
        y_ticks=tuple(Tick(_y(y, y_range), _tick_label(y, y_ticks)) for y in y_ticks),
    )


def choose_ticks(low: float, high: float, count: int = 5) -> tuple[float, ...]:
    """Returns about ``count`` round numbers that span ``low`` to ``high``."""
    if high - low <= abs(high) * 1e-9:
        padding = abs(high) * 0.1 or 1.0
        low, high = low - padding, high + padding
    rough = (high - low) / (count - 1)
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(m * magnitude for m in (1, 2, 2.5, 5, 10) if m * magnitude >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return tuple(index * step for index in range(first, last + 1))


def _whole_ticks(low: int, high: int) -> tuple[int, ...]:
    """Returns up to about six multiples of a round number."""
    if low == high:
        return (low,)
    step = max(1, round(choose_ticks(0, high - low, count=6)[1]))
    return tuple(range(math.ceil(low / step) * step, high + 1, step))


def _tick_label(value: float, ticks: Sequence[float]) -> str:
    step = ticks[1] - ticks[0]
    if step < 1e-4:
        return f"{value:.0e}" if abs(value) > step / 2 else "0"
    digits = 0
    while digits < 6 and abs(step - round(step, digits)) > step * 1e-6:
        digits += 1
    return f"{value:.{digits}f}"


def _draw_line(
    series: Series,
    is_main: bool,
    x_range: tuple[float, float],
    y_range: tuple[float, float],
    number: Callable[[float], str],
) -> Line:
    dots = tuple(
        Dot(_x(x, x_range), _y(y, y_range), f"epoch {x}: {series.name} {number(y)}") for x, y in series.points
    )
    best = None
    if series.highest_is_best:
        best = dots[max(range(len(dots)), key=lambda index: series.points[index][1])]
    return Line(
        name=series.name,
        is_main=is_main,
        path="M" + "L".join(f"{dot.x:g} {dot.y:g}" for dot in dots),
        dots=dots if len(dots) <= _MAX_DOTS else (),
        last=dots[-1],
        best=best,
    )


def _describe(title: str, series: Series, number: Callable[[float], str]) -> str:
    (first_x, first_y), (last_x, last_y) = series.points[0], series.points[-1]
    name = f"{title}: {series.name}" if series.name.lower() != title.lower() else title
    if first_x == last_x:
        return f"{name} is {number(first_y)} in epoch {first_x}."
    text = f"{name} goes from {number(first_y)} in epoch {first_x} to {number(last_y)} in epoch {last_x}"
    if series.highest_is_best:
        best_x, best_y = max(series.points, key=lambda point: point[1])
        text += f", highest in epoch {best_x} with {number(best_y)}"
    return text + "."


def _x(value: float, bounds: tuple[float, float]) -> float:
    low, high = bounds
    share = 0.5 if high == low else (value - low) / (high - low)
    return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)


def _y(value: float, bounds: tuple[float, float]) -> float:
    low, high = bounds
    return round(HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM), 1)
