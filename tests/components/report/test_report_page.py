"""The page as a whole: its structure, its escaping, that it needs nothing else, and its colours."""

from __future__ import annotations

import base64
import hashlib
import itertools
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.report import render_report as module
from components.report.describe_scores import ABSENT
from components.report.facts import LeftOutExamples, LeftOutFile, RunFacts, RunOutcome, Verdict
from components.report.lineage import Lineage, LineageStep
from components.report.read_tuning import Trial, Tuning
from components.report.render_report import render_report
from data.classes import ClassTable, SegmentationClass

CSS = (Path(module.__file__).parent / "report.css").read_text()
JS = (Path(module.__file__).parent / "report.js").read_text()
HOSTILE = "<script>alert(1)<b>\"'&"
EMPTY = RunFacts(
    name="streets",
    run_id="",
    classes=ClassTable((SegmentationClass(0, "a", (0, 0, 0)), SegmentationClass(1, "b", (9, 9, 9))), 255),
    gate_split="test",
)

Make = Callable[..., RunFacts]
Parse = Callable[[str], Any]


@pytest.fixture(params=["full", "empty", "two classes", "34 classes", "hostile", "not blessed"])
def facts(request: pytest.FixtureRequest, make_facts: Make) -> RunFacts:
    if request.param == "empty":
        return EMPTY
    if request.param == "two classes":
        return make_facts(("ground", "road"), baseline=None)
    if request.param == "34 classes":
        return make_facts(tuple(f"class {index}" for index in range(34)))
    if request.param == "hostile":
        step = LineageStep(HOSTILE, HOSTILE, HOSTILE, {HOSTILE: HOSTILE}, {HOSTILE: HOSTILE}, (HOSTILE,), 1)
        outcome = RunOutcome("failed", HOSTILE, 1.0, None, HOSTILE, HOSTILE, HOSTILE, (), HOSTILE, (HOSTILE,))
        return make_facts(
            (HOSTILE, "</style>", "</script><img src=x>"),
            name=HOSTILE,
            run_id=HOSTILE,
            lineage=Lineage((step,), {HOSTILE: HOSTILE}),
            left_out=LeftOutExamples(1, 9, 0.5, (LeftOutFile(HOSTILE, HOSTILE, HOSTILE),)),
            outcome=outcome,
            tuning=Tuning(
                HOSTILE,
                HOSTILE,
                HOSTILE,
                (HOSTILE,),
                (Trial(HOSTILE, HOSTILE, None, 1, 1.0, (HOSTILE,), HOSTILE),),
            ),
        )
    if request.param == "not blessed":
        return make_facts(verdict=Verdict(False, True, False), images=None, history=())
    return make_facts()


def test_files_that_are_left_out_are_listed_with_their_reasons(make_facts: Make, parse_page: Parse) -> None:
    files = tuple(LeftOutFile(f"/data/{index}.png", "is no image", "Mend it") for index in range(203))
    page = parse_page(render_report(make_facts(left_out=LeftOutExamples(203, 797, 0.25, files))))
    section = page.one("section", id="data")
    assert "203 of 1,000 examples left out (20.30%, at most 25.00%)." in section.text
    assert "/data/199.png is no image Mend it" in section.text and "/data/200.png" not in section.text
    assert "And 3 more:" in section.text and "quarantine.json" in section.text
    none = parse_page(render_report(make_facts(left_out=LeftOutExamples(0, 9, 0.01, ()))))
    assert "0 of 9 examples left out" in none.one("section", id="data").text
    assert "left out" not in parse_page(render_report(make_facts())).one("section", id="data").text.lower()


def test_headings_go_down_one_level_at_a_time(facts: RunFacts, parse_page: Parse) -> None:
    page = parse_page(render_report(facts))
    levels = [int(one.tag[1]) for one in page.walk() if re.fullmatch("h[1-6]", one.tag)]

    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_references_within_the_page_have_targets(facts: RunFacts, parse_page: Parse) -> None:
    page = parse_page(render_report(facts))
    ids = [one.attributes["id"] for one in page.walk() if "id" in one.attributes]
    links = [one.attributes["href"] for one in page.all("a")]
    labels = [
        one.attributes[key]
        for one in page.walk()
        for key in ("aria-labelledby", "aria-describedby")
        if key in one.attributes
    ]

    assert len(ids) == len(set(ids))
    assert links
    assert {link[1:] for link in links} | set(labels) <= set(ids)


def test_everything_has_a_name(facts: RunFacts, parse_page: Parse) -> None:
    page = parse_page(render_report(facts))

    assert page.one("html").attributes["lang"] == "en"
    assert page.one("head").one("title").text
    assert len(page.all("main")) == len(page.all("header")) == len(page.all("footer")) == 1
    assert page.one("nav").attributes["aria-label"]
    for image in page.all("img"):
        assert image.attributes["alt"]
        assert int(image.attributes["width"]) > 0
        assert int(image.attributes["height"]) > 0
    for picture in page.all("svg"):
        hidden = picture.attributes.get("aria-hidden") == "true"
        assert hidden or (picture.attributes["role"] == "img" and picture.attributes["aria-label"])
    for table in page.all("table"):
        assert table.one("caption").text
        assert all(header.attributes.get("scope") for header in table.all("th"))
    for region in page.all(role="region"):
        assert region.attributes["aria-label"]
        assert region.attributes["tabindex"] == "0"


def test_the_page_needs_nothing_else(facts: RunFacts, parse_page: Parse) -> None:
    text = render_report(facts)
    page = parse_page(text)

    assert not page.all("link") + page.all("iframe") + page.all("object")
    assert all(one.attributes["src"].startswith("data:image/") for one in page.all("img"))
    assert all("src" not in one.attributes for one in page.all("script"))
    assert not [one for one in page.walk() if "style" in one.attributes]
    assert not [one for one in page.walk() if any(key.startswith("on") for key in one.attributes)]
    assert "http://" not in text
    assert "https://" not in text
    assert "@import" not in CSS
    assert "url(" not in CSS
    policy = page.one("meta", http_equiv="Content-Security-Policy").attributes["content"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for kind in ("style", "script"):
        digest = hashlib.sha256(page.one(kind).own_text.encode()).digest()
        assert f"{kind}-src 'sha256-{base64.b64encode(digest).decode()}'" in policy


def test_what_users_write_is_text(make_facts: Make, parse_page: Parse) -> None:
    names = (HOSTILE, "</style>", "</script><img src=x>")
    step = LineageStep(HOSTILE, HOSTILE, HOSTILE, {HOSTILE: HOSTILE}, {HOSTILE: HOSTILE}, (HOSTILE,), 1)
    facts = make_facts(
        names,
        name=HOSTILE,
        run_id=HOSTILE,
        configuration={"note": HOSTILE},
        lineage=Lineage((step,), {HOSTILE: HOSTILE}),
        outcome=RunOutcome("failed", HOSTILE, 1.0, None, HOSTILE, HOSTILE, HOSTILE, (), HOSTILE, (HOSTILE,)),
    )
    facts = replace(facts, findings=tuple(replace(one, text=HOSTILE) for one in facts.findings))
    page = parse_page(render_report(facts))

    assert len(page.all("script")) == len(page.all("style")) == 1
    assert page.one("script").own_text == JS
    assert page.one("style").own_text == CSS
    assert page.one("h1").text == HOSTILE
    assert not [one for one in page.all("img") if one.attributes["src"] == "x"]
    headers = page.all("table", class_="confusion")[0].one("thead").all("th")
    assert [header.text for header in headers] == list(names)
    assert {one.tag for one in page.walk()}.isdisjoint({"b", "object"})


def test_the_same_facts_give_the_same_bytes(make_facts: Make) -> None:
    assert render_report(make_facts()) == render_report(make_facts())


def test_absent_classes_are_said(make_facts: Make, parse_page: Parse) -> None:
    page = parse_page(render_report(make_facts()))
    rows = page.one("table", class_="classes").one("tbody").all("tr")

    assert [ABSENT in row.text for row in rows] == [False, False, True]


def test_the_confusion_matrix_holds_counts_and_row_shares(make_facts: Make, parse_page: Parse) -> None:
    page = parse_page(render_report(make_facts()))
    table, other = page.all("table", class_="confusion")
    rows = table.one("tbody").all("tr")

    assert "of test" in table.one("caption").text
    assert "of val" in other.one("caption").text
    # 90 and 10 of 100; 30 and 90 of 120.
    assert [[cell.text for cell in row.all("td")] for row in rows] == [
        ["90", "10", ""],
        ["25", "75", ""],
        ["", "", ""],
    ]
    assert rows[1].attributes["data-total"] == "120"
    assert [cell.attributes.get("data-n") for cell in rows[1].all("td")] == ["30", "90", None]
    assert "empty" in rows[2].attributes["class"]


def test_baseline_is_beside_each_class(make_facts: Make, parse_page: Parse) -> None:
    with_baseline = parse_page(render_report(make_facts())).one("table", class_="classes")
    without = parse_page(render_report(make_facts(baseline=None))).one("table", class_="classes")

    assert len(with_baseline.all("rect", class_="bar-baseline")) == 2
    assert "version 2" in with_baseline.one("thead").text
    assert not without.all("rect", class_="bar-baseline")


def test_pictures_are_side_by_side(make_facts: Make, parse_page: Parse) -> None:
    page = parse_page(render_report(make_facts()))
    cards = page.all("article", class_="card")

    assert [card.one("h4").text for card in cards] == ["street/0001", "street/0002"]
    assert [[one.text for one in card.all("figcaption")] for card in cards] == [
        ["Image", "Truth", "Prediction", "Errors"]
    ] * 2
    assert "ground taken for tree" in cards[0].text


@pytest.mark.parametrize(
    ("verdict", "headline"),
    [
        (Verdict(True, True, True, "3"), "Blessed and pushed as version 3"),
        (Verdict(False, True, False), "Not blessed, so not pushed"),
        (Verdict(True, False, False), "Blessed, but not pushed"),
        (Verdict(True, None, None), "Blessed"),
        (Verdict(), "No verdict"),
    ],
)
def test_verdict_comes_first(make_facts: Make, parse_page: Parse, verdict: Verdict, headline: str) -> None:
    page = parse_page(render_report(make_facts(verdict=verdict)))

    assert page.one("main").children[0].all("h2")[0].text == headline


def test_a_page_of_nothing_says_what_is_missing(parse_page: Parse) -> None:
    page = parse_page(render_report(replace(EMPTY, missing=("There are no statistics of the data.",))))

    assert "There are no statistics of the data." in page.one("div", class_="missing").text
    assert not page.all("table")


# --- colours: WCAG 2.2, success criteria 1.4.3 and 1.4.11 ------------------------------------------


def read_colours(block: str) -> dict[str, tuple[float, float, float]]:
    found = re.findall(r"--([\w-]+): (#[0-9a-f]{6}|\d+ \d+ \d+);", block)
    return {
        name: tuple(int(value[i : i + 2], 16) for i in (1, 3, 5))
        if value.startswith("#")
        else tuple(float(part) for part in value.split())
        for name, value in found
    }  # type: ignore[misc]


def luminance(colour: tuple[float, ...]) -> float:
    parts = [c / 255 / 12.92 if c / 255 <= 0.04045 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


ROOTS = re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)
THEMES = {"light": read_colours(ROOTS[0]), "dark": read_colours(ROOTS[1])}


def test_contrast_is_computed_as_wcag_says() -> None:
    assert contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21)
    # #777777 on white is the known near miss.
    assert contrast((119, 119, 119), (255, 255, 255)) == pytest.approx(4.48, abs=0.005)


def test_both_themes_define_every_colour_that_is_used() -> None:
    used = set(re.findall(r"var\(--([\w-]+)\)", CSS))

    assert THEMES["light"].keys() == THEMES["dark"].keys()
    assert used <= THEMES["light"].keys()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_is_readable(theme: str) -> None:
    colours = THEMES[theme]
    pairs = [(text, back) for text in ("ink", "muted", "accent") for back in ("page", "panel")]
    pairs += [(name, "page") for name in ("good", "bad")]
    pairs += [(name, f"{name}-panel") for name in ("good", "bad", "warn")]
    pairs += [("ink", f"{name}-panel") for name in ("good", "bad", "warn")]

    assert {
        pair: contrast(*(colours[name] for name in pair))
        for pair in pairs
        if contrast(*(colours[name] for name in pair)) < 4.5
    } == {}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_bars_and_lines_stand_out(theme: str) -> None:
    colours = THEMES[theme]
    pairs = [("accent", "track"), ("baseline", "page"), ("good", "track"), ("bad", "track"), ("ink", "track")]

    assert {
        pair: contrast(*(colours[name] for name in pair))
        for pair in pairs
        if contrast(*(colours[name] for name in pair)) < 3
    } == {}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_shade_of_the_matrix_is_readable(theme: str) -> None:
    colours = THEMES[theme]
    rules = re.findall(r"td\.([cw]\d+) \{ background: rgb\(var\(--([\w-]+)\) / ([\d.]+)\);(.*?)\}", CSS)
    ratios = {}
    for name, tint, alpha, rest in rules:
        text = re.search(r"color: var\(--([\w-]+)\)", rest)
        share = float(alpha)
        pairs = zip(colours[tint], colours["page"], strict=True)
        mixed = tuple(share * over + (1 - share) * under for over, under in pairs)
        ratios[name] = contrast(colours[text[1] if text else "ink"], mixed)

    assert ratios.keys() == {f"{kind}{shade}" for kind in "cw" for shade in range(1, 11)}
    assert {name: ratio for name, ratio in ratios.items() if ratio < 4.5} == {}
