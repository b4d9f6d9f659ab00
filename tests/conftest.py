"""Fixtures that every tier uses."""

from __future__ import annotations

import html
import importlib.util
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

from data.config import ClassConfig, DataConfig
from data.cpu_kernels import prefer_onednn

# As commands and steps do.
prefer_onednn()

# How long an example takes says something about the machine, not about the code.
settings.register_profile("deconvflow", deadline=None)
settings.load_profile("deconvflow")

REPOSITORY = Path(__file__).resolve().parent.parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips long tests unless they are asked for, and puts journeys first, then files with slow tests.

    Workers take whole files: none should start a long one when the other has nothing left.
    """
    large = {
        mark: {item.path for item in items if item.get_closest_marker(mark)} for mark in ("journey", "slow")
    }
    items.sort(key=lambda item: (item.path not in large["journey"], item.path not in large["slow"]))
    if os.environ.get("DECONVFLOW_LONG_TESTS"):
        return
    for item in items:
        if long := item.get_closest_marker("long"):
            what = long.args[0] if long.args else "takes minutes"
            item.add_marker(pytest.mark.skip(reason=f"{what}; set DECONVFLOW_LONG_TESTS=1"))


@pytest.fixture(scope="session")
def camvid() -> Path:
    """The folder of CamVid (train, trainannot, val, valannot); skips where it is absent."""
    folder = Path(os.environ.get("DECONVFLOW_CAMVID", REPOSITORY.parent / "shared/data/camvid"))
    if not (folder / "train").is_dir():
        pytest.skip("CamVid is not on this machine; set DECONVFLOW_CAMVID to its folder")
    return folder


@pytest.fixture(scope="session")
def write_pairs() -> Callable[..., DataConfig]:
    """Writes random PNG images with id masks (classes ground and road, 255 void) in split folders."""

    def write(root: Path, counts: dict[str, int], height: int = 12, width: int = 16) -> DataConfig:
        for split, count in counts.items():
            for index in range(count):
                random = np.random.default_rng([index, len(split)])
                image = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
                mask = random.choice(np.array([0, 1, 255], np.uint8), (height, width), p=(0.5, 0.4, 0.1))
                for kind, pixels in (("images", image), ("masks", mask)):
                    path = root / kind / split / f"{split}-{index:03d}.png"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    Image.fromarray(pixels).save(path)
        return DataConfig(
            root=str(root),
            classes=(ClassConfig(id=0, name="ground"), ClassConfig(id=1, name="road")),
        )

    return write


class Browser:
    """Headless Chromium, a new profile for each page."""

    def __init__(self, program: str, folder: Path) -> None:
        self._program = program
        self._folder = folder

    def dump_dom(self, url: str, *flags: str) -> str:
        """Returns a page as it is after its scripts have run."""
        return self._run(url, "--dump-dom", *flags).stdout

    def list_complaints(self, url: str, *flags: str) -> list[str]:
        """Returns what the browser's console says of a page: errors, and what its policy kept from it."""
        done = self._run(url, "--dump-dom", "--enable-logging=stderr", "--v=0", *flags)
        return [line for line in done.stderr.splitlines() if ":CONSOLE" in line]

    def read_title(self, url: str, *flags: str) -> Any:
        """Returns the JSON value that a script of the page has made its title."""
        title = re.search("<title>(.*?)</title>", self.dump_dom(url, *flags), re.DOTALL)
        assert title is not None
        return json.loads(html.unescape(title[1]))

    def _run(self, url: str, *flags: str) -> subprocess.CompletedProcess[str]:
        with tempfile.TemporaryDirectory(dir=self._folder) as profile:
            command = [self._program, "--headless", "--no-sandbox", "--disable-gpu"]
            command += [f"--user-data-dir={profile}", "--virtual-time-budget=5000", *flags, url]
            return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Browser:
    """Chromium; skips where there is none on PATH."""
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next((path for name in names if (path := shutil.which(name))), None)
    if program is None:
        pytest.skip("there is no Chromium on PATH")
    return Browser(program, tmp_path_factory.mktemp("profiles"))


@pytest.fixture(scope="session")
def axe_script() -> str:
    """A script that checks its page with axe-core and makes what it finds the page's title.

    axe-core comes with Python packages that drive it; DECONVFLOW_AXE names a file of one's own.
    """
    places = [Path(os.environ["DECONVFLOW_AXE"])] if "DECONVFLOW_AXE" in os.environ else []
    for package in ("axe_core_python", "axe_playwright_python"):
        if (spec := importlib.util.find_spec(package)) and spec.submodule_search_locations:
            places += [Path(folder) / "axe.min.js" for folder in spec.submodule_search_locations]
    source = next((path.read_text("utf-8") for path in places if path.exists()), None)
    if source is None:
        pytest.skip("there is no axe-core: install axe-core-python, or set DECONVFLOW_AXE to its axe.min.js")
    return f"""{source};
        axe.run(document).then((found) => {{ document.title = JSON.stringify(found.violations.map(
          (one) => [one.id, one.nodes.map((node) => node.html.slice(0, 200) + " " + node.failureSummary)]
        )); }}, (error) => {{ document.title = JSON.stringify([String(error)]); }});
    """


VOID_TAGS = {"meta", "link", "img", "br", "hr", "input"}


@dataclass
class Element:
    """One element of a page; ``text`` is its own text and that of its children."""

    tag: str
    attributes: dict[str, str]
    parent: Element | None = None
    children: list[Element] = field(default_factory=list)
    own_text: str = ""

    def all(self, tag: str = "", **attributes: str) -> list[Element]:
        """All elements below with a tag and with attributes (``class_`` for class)."""
        wanted = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items()}
        return [
            one
            for one in self.walk()
            if (not tag or one.tag == tag)
            and all(value in one.attributes.get(key, "").split() for key, value in wanted.items())
        ]

    def one(self, tag: str = "", **attributes: str) -> Element:
        found = self.all(tag, **attributes)
        assert len(found) == 1, f"{len(found)} elements {tag} {attributes}"
        return found[0]

    def walk(self) -> Iterator[Element]:
        for child in self.children:
            yield child
            yield from child.walk()

    @property
    def text(self) -> str:
        return " ".join(" ".join([self.own_text, *(child.text for child in self.children)]).split())


class _TreeBuilder(HTMLParser):
    """Builds the tree, and refuses tags that do not nest."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Element("", {})
        self.current = self.root

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(set(names)) == len(names), f"<{tag}> has an attribute twice: {names}"
        element = Element(tag, {name: value or "" for name, value in attrs}, self.current)
        self.current.children.append(element)
        if tag not in VOID_TAGS:
            self.current = element

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.current.children.append(Element(tag, {name: value or "" for name, value in attrs}, self.current))

    def handle_endtag(self, tag: str) -> None:
        assert self.current.tag == tag, f"</{tag}> closes <{self.current.tag}>"
        assert self.current.parent is not None
        self.current = self.current.parent

    def handle_data(self, data: str) -> None:
        self.current.own_text += data


@pytest.fixture(scope="session")
def parse_page() -> Callable[[str], Element]:
    """Parses a page strictly and returns its root."""

    def parse(page: str) -> Element:
        builder = _TreeBuilder()
        builder.feed(page)
        builder.close()
        assert builder.current is builder.root, f"<{builder.current.tag}> is never closed"
        return builder.root

    return parse
