from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from data.assign_splits import split_of
from data.config import SplitConfig

DEFAULT = SplitConfig.model_validate({})


def test_split_is_where_the_hash_falls() -> None:
    for image_id in ("a", "street/0007", "é"):
        digest = hashlib.sha256(b"salty/" + image_id.encode()).hexdigest()
        point = int(digest[:16], 16) / 16**16
        expected = "train" if point < 0.5 else "val" if point < 0.75 else "test"
        config = SplitConfig(train=0.5, val=0.25, test=0.25, salt="salty")
        assert split_of(image_id, config) == expected


def test_known_assignments_never_change() -> None:
    # Changing these would move images between the splits of everybody's data sets.
    found = {
        name: [i for i in range(60) if split_of(f"image-{i}", DEFAULT) == name] for name in ("val", "test")
    }
    assert found == {"val": [14, 26, 45, 56, 57], "test": [6, 20, 31, 37]}


def test_shares_are_met() -> None:
    found = [split_of(f"{index:06d}", DEFAULT) for index in range(20_000)]
    # Four standard deviations of a binomial count.
    for name, share in (("train", 0.8), ("val", 0.1), ("test", 0.1)):
        assert abs(found.count(name) - 20_000 * share) < 4 * (20_000 * share * (1 - share)) ** 0.5


@given(st.text())
def test_a_split_without_share_gets_nothing(image_id: str) -> None:
    assert split_of(image_id, SplitConfig(train=1.0, val=0.0, test=0.0)) == "train"
    assert split_of(image_id, SplitConfig(train=0.5, val=0.0, test=0.5)) != "val"
    assert split_of(image_id, SplitConfig(train=0.9, val=0.1, test=0.0)) != "test"


@given(st.text(), st.floats(0.01, 0.89))
def test_more_training_share_never_takes_an_image_out_of_train(image_id: str, share: float) -> None:
    smaller = SplitConfig(train=share, val=0.1, test=0.9 - share)
    larger = SplitConfig(train=share + 0.1, val=0.0, test=0.9 - share)
    if split_of(image_id, smaller) == "train":
        assert split_of(image_id, larger) == "train"


@given(st.text(min_size=1))
def test_the_salt_deals_anew(salt: str) -> None:
    ids = [f"{index}" for index in range(300)]
    salted = SplitConfig.model_validate({"salt": salt})
    assert [split_of(image_id, salted) for image_id in ids] != [
        split_of(image_id, DEFAULT) for image_id in ids
    ]
