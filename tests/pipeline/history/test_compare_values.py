"""Differences of configurations, by key path."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.history.compare_values import flatten, list_changes, list_differences


def test_paths_are_those_that_set_takes():
    tree = {
        "data": {"classes": [{"id": 0, "name": "road"}]},
        "floors": {"iou/road": 0.5},
        "splits": ["val", "test"],
    }
    assert flatten(tree) == {
        "data.classes.0.id": 0,
        "data.classes.0.name": "road",
        "floors.iou/road": 0.5,
        "splits": ["val", "test"],
    }


def test_empty_lists_and_mappings_are_values():
    assert flatten({"slices": [], "gates": {"floors": {}}}) == {"slices": [], "gates.floors": {}}


def test_each_change_is_named_with_its_kind():
    before = {"trainer": {"epochs": 5, "seed": 0}, "gone": 1}
    after = {"trainer": {"epochs": 9, "seed": 0}, "new": None}
    assert [(c.key, c.kind, c.before, c.after) for c in list_changes(before, after)] == [
        ("gone", "removed", 1, None),
        ("new", "added", None, None),
        ("trainer.epochs", "changed", 5, 9),
    ]


def test_true_is_not_one_but_one_is_one_point_zero():
    assert [change.key for change in list_changes({"a": True, "b": 1}, {"a": 1, "b": 1.0})] == ["a"]


def test_a_key_that_one_run_lacks_is_a_difference():
    (difference,) = list_differences({"A": {"x": 1, "y": 2}, "B": {"x": 1}, "C": {"x": 1, "y": 2}})
    assert (difference.key, difference.values) == ("y", {"A": 2, "C": 2})


_TREES = st.dictionaries(
    st.sampled_from("abc"),
    st.recursive(
        st.one_of(st.integers(-3, 3), st.booleans(), st.none(), st.text(max_size=2)),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("xy"), inner, max_size=2),
        max_leaves=5,
    ),
)


@given(_TREES)
def test_a_tree_does_not_differ_from_itself(tree):
    assert list_changes(tree, tree) == ()
    assert list_differences({"A": tree, "B": tree}) == ()


@given(_TREES, _TREES)
def test_changes_the_other_way_round_are_the_same_keys(first, second):
    forth, back = list_changes(first, second), list_changes(second, first)
    assert [change.key for change in forth] == [change.key for change in back]
    opposite = {"added": "removed", "removed": "added", "changed": "changed"}
    assert [opposite[change.kind] for change in forth] == [change.kind for change in back]
