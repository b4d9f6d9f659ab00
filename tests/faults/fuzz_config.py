"""Any bytes as a configuration and any --set: a whole configuration, or sentences that name the place."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import yaml
from fuzz_bytes import mutate
from fuzz_trees import change_tree, list_paths
from hypothesis import strategies as st

from data.errors import RefusedError
from data.visible_text import make_visible
from pipeline.config import PRESETS, config_json, load_config, validate_config

NAME = "config"
_SET = b"\n%%SET "


def check(data: bytes) -> None:
    """Loads the file, with the overrides that follow it."""
    content, *overrides = data.split(_SET)
    with tempfile.TemporaryDirectory(prefix="fuzz_config_") as folder:
        path = Path(folder) / "my.yaml"
        path.write_bytes(content)
        try:
            config = load_config(path, [text.decode("utf-8", "surrogateescape") for text in overrides])
        except RefusedError as error:
            assert error.problems
            for problem in error.problems:
                assert problem.where and problem.what and problem.remedy
                assert len(problem.sentence()) < 5000, problem.sentence()[:200]
                make_visible(problem.sentence(), one_line=True).encode()
            return
    recorded = config_json(config)
    assert config_json(validate_config(json.loads(recorded))) == recorded


_TREES: tuple[dict[str, Any], ...] = tuple(
    yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(PRESETS.glob("*.yaml"))
)
_TEXTS = tuple(path.read_bytes() for path in sorted(PRESETS.glob("*.yaml")))
_PLACES = (
    "..",
    "../../x",
    "/",
    "~",
    "s3://",
    "s3://b/../c",
    "sqlite:///x",
    "mysql://u:p@h/d",
    "${HOME}",
    "%s",
)
_NEW_KEYS = st.one_of(st.text(max_size=6), st.integers(), st.booleans())
_NASTY = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.sampled_from([0, -1, 1, 255, 256, 1e308, float("inf"), float("nan"), 1e-320]),
    st.text(max_size=12),
    st.sampled_from(_PLACES),
    st.lists(st.integers(-3, 300), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=2),
)


@st.composite
def _trees(draw: st.DrawFn) -> bytes:
    """A preset in which some values are others, some keys are gone, and some are new."""
    tree = json.loads(json.dumps(draw(st.sampled_from(_TREES))))
    tree.setdefault("data", {})["root"] = draw(st.sampled_from(["x", "sample:digits", "../x", "/x"]))
    change_tree(draw, tree, _NEW_KEYS, _NASTY)
    try:
        return yaml.safe_dump(tree, allow_unicode=draw(st.booleans())).encode("utf-8", "surrogatepass")
    except yaml.YAMLError:
        return json.dumps(tree).encode()


_WORDS = (
    *(b"&a ", b"*a", b"<<: ", b"!!python/object:os.x ", b"!!int ''", b"!!binary x", b"!!set "),
    *(
        b"? ",
        b": ",
        b"- ",
        b"---\n",
        b"...\n",
        b"%YAML 9.9\n",
        b"|\n",
        b">-\n",
        b"{",
        b"}",
        b"[",
        b"]",
        b"\t",
    ),
    *(b"0b_", b"0x_", b"1:60:60", b"2024-13-41", b"=", b"~", b".inf", b".nan", b"1e999", b"\n  "),
    *(b"'", b'"', b'"\\0"', b"\\UFFFFFFFF", b"!!timestamp x"),
    *(b"\xff\xfe", b"\xef\xbb\xbf", b"\0", b"\x1b[5m", b"\xe2\x80\xae", b"\xc2\x85", b"#"),
)
_KEYS = sorted({".".join(map(str, path)) for tree in _TREES for path in list_paths(tree)})


@st.composite
def _sets(draw: st.DrawFn) -> bytes:
    key = draw(st.one_of(st.sampled_from(_KEYS), st.text(max_size=10)))
    value = draw(st.one_of(_NASTY.map(lambda value: json.dumps(value)), st.text(max_size=10)))
    return f"{key}={value}".encode("utf-8", "surrogatepass")


_FILES = st.one_of(
    *(_trees(), mutate(_trees(), _WORDS), mutate(st.sampled_from(_TEXTS), _WORDS)),
    st.text(max_size=40).map(str.encode),
)
INPUTS: st.SearchStrategy[bytes] = st.builds(
    lambda file, sets: _SET.join([file, *sets]), _FILES, st.lists(_sets(), max_size=2)
)
