from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from data.errors import RefusedError
from pipeline.config import config_json, load_config, preset_path, validate_config


def _refusals(call, *arguments):
    with pytest.raises(RefusedError) as caught:
        call(*arguments)
    return {problem.where: problem for problem in caught.value.problems}


def test_valid_configuration_gets_defaults_and_an_absolute_root(tree, write_yaml):
    config = load_config(write_yaml(tree))
    assert config.transform.width_px == 48
    assert config.trainer.model.head == "fcn8s"
    assert config.evaluation.gates.floors == {"mean_iou": 0.0}
    assert Path(config.data.root) == write_yaml(tree).parent.resolve() / "images-and-masks"


@pytest.mark.parametrize(
    ("path", "value", "where", "says"),
    [
        (("trainer", "batch_sise"), 3, "trainer.batch_sise", "Did you mean batch_size?"),
        (("trainer", "model", "heads"), "x", "trainer.model.heads", "Did you mean head?"),
        (("surprise",), {}, "surprise", "known keys: augment, beam"),
        (("trainer", "epochs"), "ten", "trainer.epochs", "valid integer"),
        (("trainer", "epochs"), True, "trainer.epochs", "valid integer"),
        (("trainer", "epochs"), "10", "trainer.epochs", "valid integer"),
        (("trainer", "epochs"), 0, "trainer.epochs", "greater than or equal to 1"),
        (("trainer", "learning_rate"), float("nan"), "trainer.learning_rate", "finite"),
        (("transform", "height_px"), None, "transform.height_px", "valid integer"),
        (("name",), "../escape", "name", "pattern"),
        (("data", "layout"), "coco", "data.layout", "'folder', 'camvid', 'voc' or 'cityscapes'"),
        (("evaluation", "gates", "floors"), {}, "evaluation.gates", "at least one metric"),
        (("evaluation", "gates", "floors", "mean_iou"), 7, "evaluation.gates", "not between 0 and 1"),
        (("evaluation", "gates", "floors"), {"iou/nothing": 0.1}, "evaluation.gates.floors", "iou/thing?"),
        (("evaluation", "gates", "max_drop"), {"miou": 0.1}, "evaluation.gates.max_drop", "mean_iou"),
        (("trainer", "devices"), 3, "trainer", "multiple of devices"),
        (("trainer", "losses"), [], "trainer.losses", "at least 1 item"),
        (("trainer", "losses"), [{}], "trainer.losses.0.name", "Take one of cross_entropy, focal, hard"),
        (("trainer", "losses"), [{"name": "dise"}], "trainer.losses.0.name", "Did you mean dice?"),
        (("trainer", "losses"), [{"name": "dice", "sqared": 1}], "trainer.losses.0.sqared", "squared?"),
        (("trainer", "losses"), [{"name": "focal", "gamma": -1}], "trainer.losses.0.gamma", "greater than"),
        (("trainer", "losses"), [{"name": "dice", "weight": 0}], "trainer.losses.0.weight", "greater than 0"),
        (("augment", "crop_width_px"), 32, "augment.crop_height_px", "go together"),
    ],
)
def test_refusal_names_the_full_path_and_the_remedy(tree, path, value, where, says):
    node = tree
    for part in path[:-1]:
        node = node.setdefault(part, {})
    node[path[-1]] = value
    problems = _refusals(validate_config, tree)
    matching = [problem for key, problem in problems.items() if key.startswith(where)]
    assert matching, f"{where} is not among {list(problems)}"
    assert says in matching[0].sentence()


def test_missing_class_table_is_named(tree):
    del tree["data"]["classes"]
    assert "class table" in _refusals(validate_config, tree)["data.classes"].sentence()


def test_class_ids_out_of_order_are_refused(tree):
    tree["data"]["classes"][1]["id"] = 5
    assert "0 to 1 in order" in _refusals(validate_config, tree)["data"].sentence()


def test_ignore_id_of_a_class_is_refused(tree):
    tree["data"]["ignore_id"] = 1
    assert "ignore_id 1 is the id of a class" in _refusals(validate_config, tree)["data"].sentence()


def test_all_problems_come_at_once(tree):
    tree["trainer"] = {"epochs": 0, "colour": 1}
    tree["transform"]["width_px"] = -1
    assert set(_refusals(validate_config, tree)) == {"trainer.epochs", "trainer.colour", "transform.width_px"}


def test_overrides_reach_nested_keys_and_list_items(tree, write_yaml):
    path = write_yaml(tree)
    floor = "evaluation.gates.floors.iou/crack=0.5"
    overrides = ["trainer.model.width=64", "data.classes.1.name=crack", floor]
    config = load_config(path, overrides)
    assert config.trainer.model.width == 64
    assert config.data.classes[1].name == "crack"
    assert config.evaluation.gates.floors == {"iou/crack": 0.5}


def test_an_override_reaches_into_a_section_that_is_written_empty(tree, write_yaml):
    config = load_config(write_yaml(tree | {"trainer": None}), ["trainer.epochs=7"])
    assert config.trainer.epochs == 7


@pytest.mark.parametrize("text", ["1e-4", "1E-4", "1.0e-4", "0.0001"])
def test_numbers_may_have_exponents_without_a_point(tree, write_yaml, text):
    path = write_yaml(tree)
    assert load_config(path, [f"trainer.learning_rate={text}"]).trainer.learning_rate == 1e-4
    path.write_text(path.read_text() + f"trainer: {{learning_rate: {text}}}\n")
    assert load_config(path).trainer.learning_rate == 1e-4


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("trainer.epochs", "not of the form"),
        ("name.x=1", "has no keys below it"),
        ("data.classes.9.name=x", "no index of a list of 2"),
        ("trainer.epochs=[", "not YAML"),
    ],
)
def test_bad_override_is_refused(tree, write_yaml, override, says):
    (problem,) = _refusals(load_config, write_yaml(tree), [override]).values()
    assert says in problem.sentence()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [1", "not valid YAML"),
        ("- 1\n- 2", "no mapping"),
        ("a: &x [1]\nb: *x", "alias"),
        ("!!python/object/apply:os.system ['true']", "not valid YAML"),
        ("a: \x00", "not valid YAML"),
    ],
)
def test_bad_yaml_is_refused(write_yaml, text, says):
    (problem,) = _refusals(load_config, write_yaml(text)).values()
    assert says in problem.sentence()


def test_missing_file_is_refused(tmp_path):
    (problem,) = _refusals(load_config, tmp_path / "absent.yaml").values()
    assert "No such file" in problem.sentence()
    assert "deconvflow init" in problem.remedy


def test_canonical_json_is_stable(tree):
    assert config_json(validate_config(tree)) == config_json(validate_config(dict(reversed(tree.items()))))


def test_unknown_preset_names_the_known_ones():
    (problem,) = _refusals(preset_path, "no-such").values()
    assert "digits" in problem.remedy


def test_a_refused_configuration_never_waits_for_tensorflow(tree, write_yaml):
    tree["trainer"] = {"epochs": 0}
    program = (
        "import sys; from pathlib import Path; from pipeline.cli import app, run_app\n"
        f"arguments = ['run', '--config', {str(write_yaml(tree))!r}]\n"
        "code = run_app(lambda: app(arguments, standalone_mode=False))\n"
        "heavy = {'tensorflow', 'tfx', 'apache_beam', 'keras', 'sklearn'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=Path(__file__).parents[2]
    )
    assert done.returncode == 2, done.stderr
    assert "trainer.epochs: is 0" in done.stderr
    assert "Traceback" not in done.stderr
