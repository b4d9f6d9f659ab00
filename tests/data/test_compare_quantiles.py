from __future__ import annotations

import numpy as np
import pytest
import tensorflow_data_validation as tfdv
from scipy import stats
from tensorflow_metadata.proto.v0 import statistics_pb2

from data.compare_quantiles import quantile_distance

pandas = pytest.importorskip("pandas")
pytestmark = pytest.mark.slow


def _feature(values) -> statistics_pb2.FeatureNameStatistics:
    options = tfdv.StatsOptions(num_quantiles_histogram_buckets=100)
    frame = pandas.DataFrame({"x": values})
    return tfdv.generate_statistics_from_dataframe(frame, options, n_jobs=1).datasets[0].features[0]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([480] * 1000, [480] * 999 + [512]),
        ([0.0] * 500, [0.0] * 499 + [0.4]),
        ([480] * 50 + [512] * 50, [480] * 50 + [512] * 50 + [600]),
    ],
)
def test_one_other_value_is_no_distance(one, other):
    assert quantile_distance(_feature(one), _feature(other)) < 0.03


def test_other_constants_have_nothing_in_common():
    assert quantile_distance(_feature([480] * 50), _feature([512] * 50)) == 1.0


def test_half_of_the_examples_moved_is_half():
    moved = _feature([1.0] * 50 + [2.0] * 50)
    assert quantile_distance(_feature([1.0] * 100), moved) == pytest.approx(0.5, abs=0.015)


def test_it_is_scipys_distance_less_what_the_buckets_hide():
    random = np.random.default_rng(0)
    one, other = random.normal(0, 1, 2000), random.normal(1, 1.5, 2000)
    exact = stats.ks_2samp(one, other).statistic
    found = quantile_distance(_feature(one), _feature(other))
    assert exact - 0.045 < found <= exact + 0.01


def test_without_quantiles_there_is_no_distance():
    assert quantile_distance(statistics_pb2.FeatureNameStatistics(), _feature([1.0, 2.0])) is None
