from __future__ import annotations

import hashlib

import pytest

from pipeline.fingerprint_code import fingerprint_code, list_code


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / "sample_package_for_fingerprints"
    (folder / "inner").mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "inner" / "module.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def test_an_edited_line_changes_it_and_a_touched_file_does_not(package):
    before = fingerprint_code([package.name])
    (package / "inner" / "module.py").touch()
    (package / "notes.txt").write_text("not code")
    assert fingerprint_code([package.name]) == before
    (package / "inner" / "module.py").write_text("x = 2\n")
    assert fingerprint_code([package.name]) != before


def test_a_renamed_file_changes_it(package):
    before = fingerprint_code([package.name])
    (package / "inner" / "module.py").rename(package / "inner" / "renamed.py")
    assert fingerprint_code([package.name]) != before


def test_packages_differ_and_modules_can_be_named():
    assert fingerprint_code(["data"]) != fingerprint_code(["trainer"])
    assert fingerprint_code(["data.errors"]) != fingerprint_code(["data.config"])


def test_an_unknown_package_is_an_error():
    with pytest.raises(ModuleNotFoundError):
        fingerprint_code(["no_such_package_of_ours"])


def test_the_list_of_code_names_each_file_with_its_own_digest(package):
    (package / "page.html.j2").write_text("<p>")
    (package / "notes.txt").write_text("not code")
    assert list_code([package.name]) == {
        f"{package.name}/__init__.py": hashlib.sha256(b"").hexdigest(),
        f"{package.name}/inner/module.py": hashlib.sha256(b"x = 1\n").hexdigest(),
        f"{package.name}/page.html.j2": hashlib.sha256(b"<p>").hexdigest(),
    }


def test_the_list_of_all_our_code_holds_every_package():
    assert {name.split("/")[0] for name in list_code()} == {"data", "trainer", "components", "pipeline"}
