"""What the data gate says of near-duplicates."""

from __future__ import annotations

import pytest

from components.config import DataGateConfig
from components.explain_findings import add_near_duplicates, describe_judgement, explain_findings
from data.find_near_duplicates import HashedImage, NearDuplicateRule, find_near_duplicates
from data.judge_statistics import Finding, Judgement

JUDGEMENT = Judgement((Finding("schema", "train", "image/mean", "is odd"),), (), ("A note.",))
NEAR = find_near_duplicates(
    [HashedImage("a.png", "train", "1", f"{1:064x}"), HashedImage("b.jpg", "test", "2", f"{3:064x}")]
)
HEADLINE = "1 of 1 image in test looks like images in train"


def test_near_duplicates_are_notes_where_they_are_warned_of():
    judgement = add_near_duplicates(JUDGEMENT, NEAR, NearDuplicateRule("warn"))
    assert judgement.findings == JUDGEMENT.findings
    note, headline, pair = judgement.notes
    assert note == "A note." and headline.startswith(HEADLINE)
    assert pair == "b.jpg looks like a.png in train (distance 1 of 256)"


def test_near_duplicates_are_findings_where_they_refuse(tmp_path):
    judgement = add_near_duplicates(JUDGEMENT, NEAR, NearDuplicateRule("fail"))
    odd, near = judgement.findings
    assert odd == JUDGEMENT.findings[0] and (near.check, near.split) == ("near duplicates", "test")
    assert near.what.startswith(HEADLINE) and judgement.notes[1:] == (
        "b.jpg looks like a.png in train (distance 1 of 256)",
    )
    problems = explain_findings(judgement, {}, tmp_path / "report.json", NEAR)
    assert [(one.where, one.code) for one in problems] == [
        ("image/mean in split train", "data_schema"),
        ("b.jpg", "near_duplicate"),
    ]
    assert "report.json" not in problems[0].remedy and problems[1].remedy.endswith(f"{tmp_path}/report.json")


def test_examples_without_hashes_are_said_to_have_none():
    judgement = add_near_duplicates(JUDGEMENT, None, NearDuplicateRule())
    assert judgement.findings == JUDGEMENT.findings and "no perceptual hashes" in judgement.notes[-1]
    assert add_near_duplicates(JUDGEMENT, None, NearDuplicateRule("ignore")) == JUDGEMENT


@pytest.mark.parametrize(("near", "number"), [(NEAR, 1), (None, None)])
def test_the_report_has_all_of_them(near, number):
    document = describe_judgement(DataGateConfig(), {}, None, JUDGEMENT, {}, near)
    found = document["near_duplicates"]
    assert (None if found is None else len(found["found"])) == number
    assert document["limits"]["near_duplicates"] == "warn"
