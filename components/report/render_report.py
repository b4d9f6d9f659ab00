"""Renders a run's facts as one HTML page that needs nothing but itself. Imports no TensorFlow."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import yaml
from markupsafe import Markup

from components.report import describe_data, describe_scores, format_values
from components.report.describe_confusion import describe_rows, list_mistakes
from components.report.draw_curves import draw_learning_curves
from components.report.draw_pictures import ERROR_COLOUR
from components.report.facts import RunFacts
from data.quarantine import describe_quarantine
from data.visible_text import make_visible

_SOURCES = {
    path.name: path.read_text(encoding="utf-8")
    for path in sorted(Path(__file__).parent.iterdir())
    if path.suffix in (".j2", ".css", ".js")
}
"""Templates, style and script. Read at import: a run takes long, and the package may be updated meanwhile."""

_MOST_FILES = 200
"""So many of the files that are left out are named on a page."""

_SECTIONS = (
    ("verdict", "Verdict"),
    ("metrics", "Metrics"),
    ("confusion", "Confusion"),
    ("images", "Images"),
    ("tuning", "Trials"),
    ("training", "Training"),
    ("data", "Data"),
    ("lineage", "Lineage"),
    ("run", "Configuration"),
)


def render_report(facts: RunFacts) -> str:
    """Returns the page: the same facts give the same bytes.

    Everything in ``facts`` is escaped; the page's own script is the only one that may run.
    """
    script, style = _SOURCES["report.js"], style_sheet()
    page = _environment().get_template("page.html.j2")
    return page.render(
        facts=facts,
        classes=facts.classes.classes,
        gate_score=facts.score(facts.gate_split),
        has_baseline=facts.baseline_score(facts.gate_split) is not None,
        sections=[section for section in _SECTIONS if section[0] != "tuning" or facts.tuning],
        style=Markup(style),
        script=Markup(script),
        content_policy=Markup(content_policy()),
        error_colour=ERROR_COLOUR,
        configuration=_write_yaml(facts.configuration),
        charts=draw_learning_curves(facts.history),
        has_validation_loss=any("loss" in epoch.validation for epoch in facts.history),
        **_describe(facts),
    )


def style_sheet() -> str:
    """Returns the style of the page, which other pages of ours share."""
    return _SOURCES["report.css"]


def content_policy() -> str:
    """Returns the page's Content-Security-Policy: its own style and script, pictures within it, no more."""
    style, script = _hash_source(style_sheet()), _hash_source(_SOURCES["report.js"])
    return f"default-src 'none'; img-src data:; style-src '{style}'; script-src '{script}'"


def fingerprint_templates() -> str:
    """Returns the SHA-256 over the templates, the style and the script, for caches."""
    digest = hashlib.sha256()
    for name, text in _SOURCES.items():
        content = text.encode()
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _hash_source(text: str) -> str:
    """Returns the form in which a Content-Security-Policy names an inline script or style."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _describe(facts: RunFacts) -> dict[str, Any]:
    return {
        "headline": describe_scores.describe_headline(facts),
        "notes": describe_scores.select_notes(facts.verdict),
        "tiles": describe_scores.describe_tiles(facts),
        "highlights": describe_scores.describe_highlights(facts),
        "score_rows": describe_scores.describe_scores(facts),
        "slice_rows": describe_scores.describe_slices(facts),
        "class_rows": describe_scores.describe_classes(facts),
        "matrices": sorted(
            (score for score in facts.splits if score.matrix is not None),
            key=lambda score: score.name != facts.gate_split,
        ),
        "frequencies": describe_data.describe_frequencies(facts),
        "model_facts": describe_data.describe_model(facts),
    }


@cache
def _environment() -> jinja2.Environment:
    return build_environment(jinja2.DictLoader(_SOURCES))


def build_environment(loader: jinja2.BaseLoader) -> jinja2.Environment:
    """Returns an environment that escapes everything and writes numbers as the page does.

    Args:
        loader: of templates; those of the page are there as well.
    """
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([loader, jinja2.DictLoader(_SOURCES)]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "metric": format_values.format_metric,
        "count": format_values.format_count,
        "percent": format_values.format_percent,
        "seconds": format_values.format_seconds,
        "number": format_values.format_number,
        "metric_label": format_values.metric_label,
        "matrix_rows": describe_rows,
        "mistakes": list_mistakes,
        "class_colour": lambda colour: "#{:02x}{:02x}{:02x}".format(*colour),
    }
    environment.globals |= {
        "metric_labels": format_values.METRIC_LABELS,
        "describe_quarantine": describe_quarantine,
        "most_files": _MOST_FILES,
    }
    return environment


def _finalize(value: Any) -> Any:
    """Writes out what would turn the direction of a page's text, or is no character of HTML."""
    return make_visible(value) if type(value) is str else value


def _write_yaml(configuration: Any) -> str:
    if not configuration:
        return ""
    text: str = yaml.safe_dump(dict(configuration), sort_keys=False, allow_unicode=True, width=100)
    return text
