"""Reads when something is to happen: cron expressions and intervals, as Kubeflow Pipelines takes them.

Its scheduler wants six fields, seconds first, and would silently take the usual five for seconds to months.
It counts the days of the week from 0 (Sunday) to 6.
"""

from __future__ import annotations

import re

from data.errors import Problem, RefusedError

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("second", 0, 59, {}),
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of the month", 1, 31, {}),
    ("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    ("day of the week", 0, 6, {name: number for number, name in enumerate(_WEEKDAYS)}),
)
_NAMED = {
    "@yearly": "0 0 0 1 1 *",
    "@annually": "0 0 0 1 1 *",
    "@monthly": "0 0 0 1 * *",
    "@weekly": "0 0 0 * * 0",
    "@daily": "0 0 0 * * *",
    "@midnight": "0 0 0 * * *",
    "@hourly": "0 0 * * * *",
}
_UNITS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}
_SUNDAY = re.compile(r"(?<![\d/])7(?!\d)")


def read_cron(text: str) -> str:
    """Returns a cron expression with its six fields, seconds first.

    Five fields are taken as everywhere else, minutes first; ``@daily`` and its like are spelled out.

    Raises:
        RefusedError: if it is none, with what is wrong with which field.
    """
    words = _NAMED.get(text.strip().lower(), text).split()
    if len(words) == 5:
        words.insert(0, "0")
    if len(words) != 6:
        raise _refuse("--cron", f"{text!r} has {len(words)} fields", _CRON_REMEDY)
    if not words[5].endswith("-7"):
        words[5] = _SUNDAY.sub("0", words[5])
    for word, (name, low, high, names) in zip(words, _FIELDS, strict=True):
        for part in word.split(","):
            if problem := _find_problem(part, low, high, names, name.startswith("day")):
                raise _refuse("--cron", f"{text!r}: {name} {word!r} {problem}", _CRON_REMEDY)
    return " ".join(words)


_CRON_REMEDY = (
    "Give minute, hour, day of the month, month and day of the week ('0 3 * * 1-5' is 3:00 from Monday to "
    "Friday), or six fields with the second before them"
)


def _find_problem(part: str, low: int, high: int, names: dict[str, int], may_be_open: bool) -> str | None:
    span, slash, step = part.partition("/")
    if slash and not (_is_number(step) and int(step) > 0):
        return f"has the step {step!r}; it must be a whole number above 0"
    if span == "*" or (span == "?" and may_be_open):
        return None
    first, dash, last = span.partition("-")
    values = []
    for word in (first, last) if dash else (first,):
        value = names.get(word.lower(), int(word) if _is_number(word) else None)
        if value is None:
            return "is not understood"
        if not low <= value <= high:
            return f"is not between {low} and {high}"
        values.append(value)
    return "goes backwards" if values != sorted(values) else None


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[0-9]{1,9}", text) is not None


def read_interval(text: str) -> int:
    """Returns an interval in seconds: ``90``, ``45m``, ``12h``, ``7d``.

    Raises:
        RefusedError: if it is none, or shorter than a minute.
    """
    match = re.fullmatch(r"\s*([0-9]{1,9})\s*([a-z]*)\s*", text.lower())
    if match is None or match[2] not in _UNITS:
        raise _refuse("--interval", f"{text!r} is no interval", "Give seconds, or 45m, 12h, 7d")
    seconds = int(match[1]) * _UNITS[match[2]]
    if seconds < 60:
        raise _refuse("--interval", f"{text!r} is less than a minute", "Give a minute or more")
    return seconds


def _refuse(where: str, what: str, remedy: str) -> RefusedError:
    return RefusedError([Problem(where, what, remedy, "bad_schedule")])
