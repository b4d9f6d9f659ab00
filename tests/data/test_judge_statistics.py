"""Findings of TFDV on hand-made splits, and the images behind them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
import tensorflow_data_validation as tfdv

from data import features
from data.build_schema import add_gate_limits, build_schema
from data.config import ClassConfig, DataConfig
from data.find_examples import FoundImages, find_images, outside_domain, unlike
from data.judge_statistics import Distance, find_feature, judge_statistics

pytestmark = pytest.mark.slow

CONFIG = DataConfig(root="unused", classes=(ClassConfig(id=0, name="road"), ClassConfig(id=1, name="sign")))
ROAD, SIGN = features.class_pixels_key("road"), features.class_pixels_key("sign")
WEATHER = features.attribute_key("weather")


@pytest.fixture
def statistics_of(sound_facts):
    def make(count: int = 40, **columns: object):
        table = sound_facts(count) | {
            ROAD: np.linspace(0, 1000, count).astype(int),
            SIGN: np.linspace(0, 1000, count).astype(int),
            WEATHER: ["dry", "wet"] * (count // 2),
        }
        return tfdv.generate_statistics_from_dataframe(pd.DataFrame(table | columns))

    return make


def judge(train, served=None, skew: float | None = 0.3, drift: float | None = 0.3, **splits):
    schema = add_gate_limits(build_schema(CONFIG, ["weather"]), 0.9, skew, drift)
    return judge_statistics({"train": train} | splits, schema, served=served)


def places(judgement) -> list[tuple[str, str, str]]:
    return [(finding.check, finding.split, finding.feature) for finding in judgement.findings]


def test_equal_splits_are_no_distance_apart(statistics_of):
    judgement = judge(statistics_of(), val=statistics_of(), served=statistics_of())
    assert judgement.findings == ()
    assert judgement.notes == ()
    measured = {(distance.check, distance.feature) for distance in judgement.distances}
    assert {("split skew", SIGN), ("drift", SIGN), ("split skew", WEATHER)} <= measured
    assert all(distance.value == 0 for distance in judgement.distances)


def test_disjoint_numbers_are_one_apart_and_half_of_the_strings_a_half(statistics_of):
    val = statistics_of(**{SIGN: [5000] * 40, WEATHER: ["dry"] * 40})
    judgement = judge(statistics_of(), val=val)
    assert places(judgement) == [("split skew", "val", WEATHER), ("split skew", "val", SIGN)]
    by_feature = {distance.feature: distance for distance in judgement.distances}
    assert by_feature[SIGN] == Distance("split skew", "val", SIGN, "Jensen-Shannon", 1.0, pytest.approx(0.3))
    assert by_feature[WEATHER].value == pytest.approx(0.5)
    assert by_feature[WEATHER].kind == "L-infinity"
    assert "1.000 away from that in the train split" in judgement.findings[1].what


def test_drift_is_judged_against_what_is_served_and_has_its_own_limit(statistics_of):
    served = statistics_of(**{features.IMAGE_HEIGHT_PX: [720] * 40})
    judgement = judge(statistics_of(), served=served, val=statistics_of())
    assert places(judgement) == [("drift", "train", features.IMAGE_HEIGHT_PX)]
    assert "the served model's training data" in judgement.findings[0].what
    assert judge(statistics_of(), served=served, drift=None).findings == ()


def test_a_class_that_the_served_data_did_not_have_is_no_drift(statistics_of):
    served = statistics_of()
    for dataset in served.datasets:
        kept = [feature for feature in dataset.features if feature.path.step[0] != SIGN]
        del dataset.features[:]
        dataset.features.extend(kept)
    assert judge(statistics_of(), served=served).findings == ()


def test_small_splits_are_noted_and_not_compared(statistics_of):
    val = statistics_of(28, **{SIGN: [5000] * 28})
    judgement = judge(statistics_of(), val=val, served=val)
    assert judgement.findings == ()
    assert judgement.distances == ()
    assert len(judgement.notes) == 2
    assert "split val has 28 images" in judgement.notes[0]


def test_a_class_without_a_pixel_is_noted(statistics_of):
    judgement = judge(statistics_of(**{SIGN: [0] * 40}), skew=None)
    assert judgement.findings == ()
    assert judgement.notes == ("The class sign has no pixel in the split train.",)


def test_broken_limits_and_domains_are_findings_of_their_split(statistics_of):
    val = statistics_of(
        **{
            features.MASK_VOID_SHARE: np.array([0.1] * 39 + [0.95], np.float32),
            features.IMAGE_FORMAT: ["png"] * 39 + ["gif"],
        }
    )
    judgement = judge(statistics_of(), val=val, skew=None)
    assert places(judgement) == [
        ("schema", "val", features.IMAGE_FORMAT),
        ("schema", "val", features.MASK_VOID_SHARE),
    ]
    assert "gif" in judgement.findings[0].what
    assert "0.95>0.9" in judgement.findings[1].what


@pytest.fixture
def records(tmp_path: Path) -> list[str]:
    """Twelve examples in two files: void shares 0.0 to 1.1, weather wet in the last three."""
    paths = []
    for part in range(2):
        paths.append(str(tmp_path / f"part-{part}"))
        with tf.io.TFRecordWriter(paths[-1]) as writer:
            for number in range(part * 6, part * 6 + 6):
                example = tf.train.Example()
                feature = example.features.feature
                feature[features.IMAGE_ID].bytes_list.value.append(f"image-{number:02d}".encode())
                feature[features.MASK_VOID_SHARE].float_list.value.append(number / 10)
                if number != 4:
                    feature[features.IMAGE_HEIGHT_PX].int64_list.value.append(number)
                feature[WEATHER].bytes_list.value.append(b"wet" if number > 8 else b"dry")
                writer.write(example.SerializeToString())
    return paths


def test_images_outside_a_domain_are_found_the_farthest_first(records):
    schema = add_gate_limits(build_schema(CONFIG, ["weather"]), 0.75, None, None)
    domains = {feature.name: outside_domain(feature) for feature in schema.feature}
    void, height = features.MASK_VOID_SHARE, features.IMAGE_HEIGHT_PX
    scores = {name: (name, domains[name]) for name in (void, height, WEATHER)}
    found = find_images(records, scores, limit=3)
    assert found == {
        void: FoundImages(("image-11", "image-10", "image-09"), 4),
        # One has no height at all, another the height 0.
        height: FoundImages(("image-04", "image-00"), 2),
        WEATHER: FoundImages((), 0),
    }


def test_images_unlike_a_reference_are_found_the_farthest_first(records, statistics_of):
    reference = statistics_of(
        **{features.MASK_VOID_SHARE: np.full(40, 0.2, np.float32), WEATHER: ["dry"] * 40}
    )
    own = statistics_of(**{WEATHER: ["wet"] * 10 + ["dry"] * 30})
    scores = {}
    for name in (features.MASK_VOID_SHARE, WEATHER):
        theirs, ours = find_feature(reference, name), find_feature(own, name)
        assert theirs is not None and ours is not None
        scores[name] = name, unlike(theirs, ours)
    found = find_images(records, scores, limit=2)
    assert found[features.MASK_VOID_SHARE].image_ids == ("image-11", "image-10")
    assert found[WEATHER] == FoundImages(("image-09", "image-10"), 3)
