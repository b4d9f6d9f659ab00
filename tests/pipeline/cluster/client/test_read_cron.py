"""Cron expressions as people write them, and as the backend takes them."""

from __future__ import annotations

import pytest

from data.errors import RefusedError
from pipeline.cluster.read_cron import read_cron, read_interval


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("0 3 * * *", "0 0 3 * * *"),
        ("30 0 3 * * *", "30 0 3 * * *"),
        ("*/15 8-18 1,15 JAN-mar Mon-Fri", "0 */15 8-18 1,15 JAN-mar Mon-Fri"),
        ("0 0 9 ? * 2-6", "0 0 9 ? * 2-6"),
        ("0 3 * * 7", "0 0 3 * * 0"),
        ("0 3 * * 1,7", "0 0 3 * * 1,0"),
        ("@daily", "0 0 0 * * *"),
        ("@Weekly", "0 0 0 * * 0"),
    ],
)
def test_what_is_sent(typed, sent):
    assert read_cron(typed) == sent


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ("0 3 * *", "has 4 fields"),
        ("0 3 * * * * *", "has 7 fields"),
        ("60 3 * * *", "minute '60' is not between 0 and 59"),
        ("0 24 * * *", "hour '24' is not between 0 and 23"),
        ("0 3 0 * *", "day of the month '0' is not between 1 and 31"),
        ("0 3 * 13 *", "month '13' is not between 1 and 12"),
        ("0 3 * * 5-7", "day of the week '5-7' is not between 0 and 6"),
        ("0 3 * * fri-mon", "goes backwards"),
        ("*/0 * * * *", "has the step '0'"),
        ("0 3 * * L", "is not understood"),
        ("? 3 * * *", "minute '?' is not understood"),
        ("", "has 0 fields"),
    ],
)
def test_what_is_refused(typed, why):
    with pytest.raises(RefusedError, match=r"--cron") as caught:
        read_cron(typed)
    assert why in str(caught.value)


@pytest.mark.parametrize(("typed", "seconds"), [("90", 90), ("45m", 2700), ("12 h", 43200), ("7D", 604800)])
def test_intervals(typed, seconds):
    assert read_interval(typed) == seconds


@pytest.mark.parametrize("typed", ["", "h", "-5m", "1.5h", "5y", "59", "0"])
def test_impossible_intervals(typed):
    with pytest.raises(RefusedError, match=r"--interval"):
        read_interval(typed)
