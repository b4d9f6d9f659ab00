"""RunReport really run on small artifacts with a small SavedModel, against numpy, and in a browser."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainer.confusion_matrix import compute_metrics

pytestmark = pytest.mark.slow

RUN_ID = "20250101-120000-abcd"


def configuration(class_names: tuple[str, ...]) -> str:
    classes = [{"id": index, "name": name} for index, name in enumerate(class_names)]
    return json.dumps({"name": "small", "data": {"root": "/data", "classes": classes}})


@pytest.fixture(scope="module")
def many_scenes(small: Any) -> list[Any]:
    """Twelve images, each worse than the one before, in no order."""
    order = [7, 2, 11, 0, 5, 9, 1, 3, 10, 4, 8, 6]
    return [small.make_scene(seed, 24 + seed, 40, noise=0.05 + 0.06 * seed) for seed in order]


@pytest.fixture(scope="module")
def ranking(small: Any, many_scenes: list[Any]) -> list[str]:
    """Ids of the images, worst first, computed without the code under test."""
    scores = []
    for number, scene in enumerate(many_scenes):
        metrics = compute_metrics(small.reference_matrix([scene]), small.CLASS_NAMES)
        scores.append((metrics["mean_iou"], metrics["pixel_accuracy"], f"test-{number}"))
    return [image_id for _, _, image_id in sorted(scores)]


@pytest.fixture(scope="module")
def inputs(
    tmp_path_factory: pytest.TempPathFactory,
    small: Any,
    many_scenes: list[Any],
    write_examples: Callable[..., Any],
    write_model: Callable[..., Any],
) -> dict[str, list[Any]]:
    """The component's input artifacts, as the components before it leave them."""
    from tensorflow_metadata.proto.v0 import anomalies_pb2, statistics_pb2
    from tfx.types import artifact_utils, standard_artifacts

    folder = tmp_path_factory.mktemp("inputs")

    def artifact(kind: Any, name: str) -> Any:
        made = kind()
        made.uri = str(folder / name)
        (folder / name).mkdir()
        return made

    evaluation = artifact(standard_artifacts.ModelEvaluation, "evaluation")
    blessing = artifact(standard_artifacts.ModelBlessing, "blessing")
    matrix = small.reference_matrix(many_scenes)
    metrics = compute_metrics(matrix, small.CLASS_NAMES)
    nested = {key: value for key, value in metrics.items() if not key.startswith("iou/")}
    nested["iou"] = {
        name: None if np.isnan(value := metrics[f"iou/{name}"]) else value for name in small.CLASS_NAMES
    }
    scored = {"num_images": len(many_scenes), "metrics": nested, "confusion_matrix": matrix.tolist()}
    document = {"class_names": small.CLASS_NAMES, "splits": {"test": scored}, "slices": [], "baseline": None}
    (folder / "evaluation/metrics.json").write_text(json.dumps(document))
    gate = {"metric": "mean_iou", "split": "test", "kind": "floor", "bound": 0.1, "baseline_value": None}
    gate |= {"value": metrics["mean_iou"], "passed": True, "sentence": "mean_iou reaches its floor."}
    verdict = {"blessed": True, "gates": [gate], "data_fingerprint": "data-1"}
    (folder / "blessing/verdict.json").write_text(json.dumps(verdict))
    model_run = artifact(standard_artifacts.ModelRun, "model_run")
    history = [{"epoch": epoch, "step": epoch, "loss": 1 / epoch, "learning_rate": 0.1} for epoch in (1, 2)]
    (folder / "model_run/history.jsonl").write_text("\n".join(json.dumps(entry) for entry in history))
    (folder / "model_run/training.json").write_text(json.dumps({"parameters": 4321}))
    statistics = artifact(standard_artifacts.ExampleStatistics, "statistics")
    anomalies = artifact(standard_artifacts.ExampleAnomalies, "anomalies")
    empty = statistics_pb2.DatasetFeatureStatisticsList()
    empty.datasets.add(num_examples=len(many_scenes))
    for one, name, content in (
        (statistics, "FeatureStats.pb", empty),
        (anomalies, "SchemaDiff.pb", anomalies_pb2.Anomalies()),
    ):
        one.split_names = artifact_utils.encode_split_names(["test"])
        split = Path(artifact_utils.get_split_uri([one], "test"))
        split.mkdir(parents=True)
        (split / name).write_bytes(content.SerializeToString())
    pushed = artifact(standard_artifacts.PushedModel, "pushed")
    pushed.set_int_custom_property("pushed", 1)
    pushed.set_string_custom_property("pushed_version", "4")
    pushed.set_string_custom_property("pushed_destination", "/models/small/4")
    return {
        "evaluation": [evaluation],
        "blessing": [blessing],
        "model": [write_model(folder / "model")],
        "model_run": [model_run],
        "statistics": [statistics],
        "anomalies": [anomalies],
        "examples": [write_examples(folder / "examples", {"test": many_scenes})],
        "pushed_model": [pushed],
    }


@pytest.fixture(scope="module")
def run(small: Any) -> Callable[..., str]:
    """Runs the executor and returns the page."""

    def run_executor(folder: Path, inputs: dict[str, list[Any]], **properties: Any) -> str:
        from components.artifact_types import RunReportPage
        from components.run_report import Executor

        report = RunReportPage()
        report.uri = str(folder / "report")
        context = Executor.Context(pipeline_run_id=RUN_ID)
        exec_properties = {"pipeline_config": configuration(small.CLASS_NAMES), "max_ranked_images": 100}
        Executor(context).Do(inputs, {"report": [report]}, exec_properties | properties)
        assert {path.name for path in (folder / "report").iterdir()} <= {"index.html", "images.json"}
        return (folder / "report/index.html").read_text(encoding="utf-8")

    return run_executor


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, run: Callable[..., str], inputs: Any) -> str:
    return run(tmp_path_factory.mktemp("page"), inputs)


def image_ids(page: str) -> list[str]:
    return re.findall(r"<h4>(.*?)</h4>", page)


def test_the_page_says_what_the_run_came_to(page: str, small: Any, many_scenes: list[Any]) -> None:
    metrics = compute_metrics(small.reference_matrix(many_scenes), small.CLASS_NAMES)

    assert "Blessed and pushed as version 4" in page
    assert f"{metrics['mean_iou']:.4f}" in page
    assert f"{metrics['iou/tree']:.4f}" in page
    assert RUN_ID in page
    assert "4,321" in page
    assert "data-1" in page
    assert "absent from truth and prediction; left out of the mean" in page
    assert "This page is not complete" not in page


def test_worst_and_middling_images(page: str, ranking: list[str]) -> None:
    assert image_ids(page) == ranking[:4] + ranking[4:8]
    assert page.count('src="data:image/') == 32


def test_of_few_images_none_is_shown_twice(
    tmp_path: Path, run: Callable[..., str], inputs: Any, small: Any, many_scenes: list[Any]
) -> None:
    page = run(tmp_path, inputs, max_ranked_images=7)
    scores = []
    for number, scene in enumerate(many_scenes[:7]):
        metrics = compute_metrics(small.reference_matrix([scene]), small.CLASS_NAMES)
        scores.append((metrics["mean_iou"], f"test-{number}"))

    # The middle of seven are the second to the fifth worst.
    assert image_ids(page) == [image_id for _, image_id in sorted(scores)][:5]
    assert "the first 7 images of test" in page


def test_the_same_inputs_give_the_same_bytes(
    tmp_path: Path, run: Callable[..., str], inputs: Any, page: str
) -> None:
    assert run(tmp_path, inputs) == page


def test_inputs_may_be_missing(tmp_path: Path, run: Callable[..., str]) -> None:
    page = run(tmp_path, {})

    assert "No verdict" in page
    assert "This page is not complete" in page


def test_a_model_that_fails_costs_the_pictures_only(
    tmp_path: Path, run: Callable[..., str], inputs: Any
) -> None:
    from tfx.types import standard_artifacts

    model = standard_artifacts.Model()
    model.uri = str(tmp_path)
    page = run(tmp_path, inputs | {"model": [model]})

    assert "Blessed and pushed as version 4" in page
    assert "No image is shown: the model failed on test" in page


def test_the_component_is_wired_by_its_channels(inputs: Any) -> None:
    from tfx.types import channel_utils

    from components.run_report import RunReport

    given = {key: channel_utils.as_channel(artifacts) for key, artifacts in inputs.items()}
    component = RunReport(pipeline_config="{}", **given)

    assert component.id == "RunReport"
    assert component.inputs.keys() == inputs.keys()
    assert component.outputs["report"].type_name == "RunReportPage"
    assert RunReport(pipeline_config="{}").inputs.keys() == set()


# --- in a browser ----------------------------------------------------------------------------------

POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy".*?>')


@pytest.fixture
def act(page: str, tmp_path: Path, browser: Any) -> Callable[[str], Any]:
    """Runs a script in the page and returns what it returns. The page's policy would not let it."""

    def run_script(script: str) -> Any:
        code = f"document.title = JSON.stringify((() => {{{script}}})())"
        path = tmp_path / "acted.html"
        path.write_text(POLICY.sub("", page).replace("</body>", f"<script>{code}</script></body>"), "utf-8")
        return browser.read_title(path.as_uri())

    return run_script


def test_the_pages_own_script_is_let_run(page: str, tmp_path: Path, browser: Any) -> None:
    (tmp_path / "index.html").write_text(page, "utf-8")
    dom = browser.dump_dom((tmp_path / "index.html").as_uri())

    assert re.search(r'<table class="confusion[^>]* role="grid"', dom)
    assert dom.count("Enlarge</button>") == 8
    assert browser.list_complaints((tmp_path / "index.html").as_uri()) == []


def test_no_other_script_is_let_run(page: str, tmp_path: Path, browser: Any) -> None:
    path = tmp_path / "index.html"
    path.write_text(page.replace("</body>", "<script>document.title = 'taken over'</script></body>"), "utf-8")

    assert "<title>taken over" not in browser.dump_dom(path.as_uri())
    assert any("Content Security Policy" in line for line in browser.list_complaints(path.as_uri()))


@pytest.mark.parametrize(
    "flags",
    [("--window-size=1280,900",), ("--window-size=500,900", "--blink-settings=preferredColorScheme=0")],
    ids=["wide and light", "narrow and dark"],
)
def test_axe_finds_nothing(
    page: str, tmp_path: Path, browser: Any, axe_script: str, flags: tuple[str, ...]
) -> None:
    path = tmp_path / "checked.html"
    opened = POLICY.sub("", page).replace("<details>", "<details open>")
    path.write_text(opened.replace("</body>", f"<script>{axe_script}</script></body>"), "utf-8")

    assert browser.read_title(path.as_uri(), *flags) == []


def test_the_matrix_is_read_by_keyboard(
    act: Callable[[str], Any], small: Any, many_scenes: list[Any]
) -> None:
    script = """
        const table = document.querySelector("table.confusion");
        const stops = [...table.querySelectorAll("td")].filter((cell) => cell.tabIndex === 0);
        stops[0].focus();
        for (const way of ["Right", "Right", "Down", "Left", "Up", "Up", "Down"]) {
          const press = {key: `Arrow${way}`, bubbles: true, cancelable: true};
          document.activeElement.dispatchEvent(new KeyboardEvent("keydown", press));
        }
        return [stops.length, document.activeElement.getAttribute("aria-label"),
                document.querySelector(".detail").textContent];
    """
    stops, label, detail = act(script)
    matrix = small.reference_matrix(many_scenes)
    count, total = matrix[1, 1], matrix[1].sum()

    assert stops == 1
    assert label == detail
    assert label.startswith(f"Truth tree \N{RIGHTWARDS ARROW} prediction tree: {count:,} of {total:,} pixels")
    assert f"{100 * count / total:.1f}" in label


def test_classes_are_sorted_by_their_iou(act: Callable[[str], Any]) -> None:
    script = """
        const table = document.querySelector("table.classes");
        const names = () => [...table.tBodies[0].rows].map((row) => row.cells[0].textContent.trim());
        const button = table.querySelectorAll("thead button")[1];
        const seen = [names()];
        for (let i = 0; i < 2; i++) { button.click(); seen.push(names()); }
        return [seen, button.parentElement.getAttribute("aria-sort")];
    """
    (original, ascending, descending), order = act(script)

    assert original == ["ground", "tree", "sky", "unicorn"]
    assert ascending[-1] == descending[-1] == "unicorn"
    assert ascending[:3] == descending[:3][::-1]
    assert order == "descending"


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_sticks_out_of_the_window(page: str, tmp_path: Path, browser: Any, width: int) -> None:
    frame = f'<iframe id="f" src="inner.html" style="width:{width}px;height:900px;border:0"></iframe>'
    inner = re.sub(r'<meta http-equiv="Content-Security-Policy".*?>', "", page)
    measure = "<script>const sizes = [document.documentElement.scrollWidth, innerWidth].join()</script>"
    (tmp_path / "inner.html").write_text(
        inner.replace("</body>", f"{measure}<script>parent.postMessage(sizes, '*')</script></body>"),
        "utf-8",
    )
    (tmp_path / "outer.html").write_text(
        f"<title>-</title>{frame}<script>onmessage = (e) => {{ document.title = e.data; }}</script>", "utf-8"
    )
    title = re.search("<title>(.*?)</title>", browser.dump_dom((tmp_path / "outer.html").as_uri()))

    assert title is not None
    scroll, inner_width = (int(part) for part in title[1].split(","))
    assert inner_width == width
    assert scroll <= inner_width
