"""Addresses of metadata stores, and passwords that stay out of them."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from data.errors import RefusedError
from pipeline import store_address
from pipeline.config import config_json, load_config, validate_config
from pipeline.store_address import StoreAddress, find_store, parse_address, read_password, remember_store
from pipeline.workspace import Workspace

SECRET = "hunter2"


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    for name in ("STORE_VARIABLE", "PASSWORD_VARIABLE", "PASSWORD_FILE_VARIABLE"):
        monkeypatch.delenv(getattr(store_address, name), raising=False)


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("mysql://team@db/runs", StoreAddress("mysql", None, "db", 3306, "team", "runs")),
        ("mysql://team@db:3307/runs/", StoreAddress("mysql", None, "db", 3307, "team", "runs")),
        ("postgresql://me%40here@[::1]/a_1", StoreAddress("postgresql", None, "::1", 5432, "me@here", "a_1")),
        ("grpc://10.0.0.7:8080", StoreAddress("grpc", None, "10.0.0.7", 8080)),
        (" grpc://mlmd.kubeflow:8080\n", StoreAddress("grpc", None, "mlmd.kubeflow", 8080)),
    ],
)
def test_an_address_is_read_and_written_again(text, right):
    address = parse_address(text, "here")
    assert address == right
    assert parse_address(str(address), "here") == right


def test_a_sqlite_path_starts_at_its_base_unless_it_is_absolute(tmp_path):
    assert parse_address("sqlite:///a/b.sqlite", "here", tmp_path).path == tmp_path / "a/b.sqlite"
    assert parse_address("sqlite:////a/b.sqlite", "here", tmp_path).path.as_posix() == "/a/b.sqlite"
    address = parse_address("sqlite:///b.sqlite", "here", tmp_path)
    assert str(address) == f"sqlite:////{str(tmp_path).lstrip('/')}/b.sqlite"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is no address"),
        ("metadata.sqlite", "is no address of a metadata store. Write an address such as sqlite:///"),
        ("postgres://a@b/c", "Write postgresql://"),
        ("mariadb://a@b/c", "Write mysql://"),
        ("http://a@b/c", "is no address"),
        ("sqlite://metadata.sqlite", "sqlite:////folder/file.sqlite for an absolute path"),
        ("sqlite:///", "names no sqlite file"),
        ("sqlite:///:memory:", "names no sqlite file"),
        ("sqlite:///a?mode=ro", "has options"),
        ("mysql://db/runs", "names no user. Write mysql://user@db/runs"),
        ("mysql://team@db", "names no database"),
        ("mysql://team@db/runs/2", "impossible database"),
        ("mysql://team@db/runs;drop", "impossible database"),
        ("mysql://team@db:port/runs", "names no host and port"),
        ("mysql://team@db:0/runs", "names no port"),
        ("mysql://team@db:99999/runs", "names no host and port"),
        ("mysql://team@/runs", "names no host"),
        ("mysql://team@d b/runs", "names no host"),
        ("mysql://team@db/runs?ssl=1", "has options"),
        ("grpc://service", "names no port. Write grpc://service:8080"),
        ("grpc://me@service:80", "names a user"),
        ("grpc://service:80/db", "names a database"),
    ],
)
def test_what_can_be_no_store_is_refused_with_a_remedy(text, says):
    with pytest.raises(RefusedError) as refused:
        parse_address(text, "metadata.store")
    (problem,) = refused.value.problems
    assert problem.where == "metadata.store"
    assert says in problem.sentence()


@pytest.mark.parametrize(
    "text",
    [
        f"mysql://team:{SECRET}@db/runs",
        f"mysql://team:{SECRET}/x@db/runs",
        f"mysql://team:12/{SECRET}@db/runs",
        f"mysql://team:{SECRET}#x@db/runs",
        f"mysql://team:{SECRET}?x@db/runs",
        f"mysql://team:a@{SECRET}@db/runs",
        f"mysql://team:{SECRET}\n@db/runs",
        f"mysql://team@db/runs?password={SECRET}",
        f"mysql://:{SECRET}@db/runs",
        f"mysqll://team:{SECRET}@db/runs",
        f"mysql:team:{SECRET}@db/runs",
        f"grpc://team:{SECRET}@db:80",
    ],
)
def test_a_password_in_an_address_is_refused_and_not_repeated(tree, text):
    for call in (
        lambda: parse_address(text, "--store"),
        lambda: validate_config(tree | {"metadata": {"store": text}}),
    ):
        with pytest.raises(RefusedError) as refused:
            call()
        assert SECRET not in str(refused.value)


def test_the_remedy_says_where_a_password_belongs(tree, write_yaml):
    with pytest.raises(RefusedError, match="DECONVFLOW_METADATA_PASSWORD") as refused:
        parse_address(f"mysql://team:{SECRET}@db/runs", "--store")
    assert "mysql://team:***@db/runs" in str(refused.value)
    with pytest.raises(RefusedError, match=r"metadata\.password: .*DECONVFLOW_METADATA_PASSWORD"):
        validate_config(tree | {"metadata": {"password": SECRET}})
    path = write_yaml(tree)
    for override in (
        f"metadata.store:mysql://a:{SECRET}@b/c",
        f"metadata.store=[mysql://a:{SECRET}@b/c",
        f"metadata.store.x.y=mysql://a:{SECRET}@b/c",
        f"metadata=mysql://a:{SECRET}@b/c",
        f"name=mysql://a:{SECRET}@b/c",
    ):
        with pytest.raises(RefusedError) as refused:
            load_config(path, [override])
        assert SECRET not in str(refused.value), override


def test_a_configured_store_is_recorded_as_it_is_meant(tree, write_yaml, tmp_path):
    path = write_yaml(tree | {"metadata": {"store": "sqlite:///shared/runs.sqlite"}})
    config = load_config(path)
    right = f"sqlite:///{tmp_path.resolve()}/shared/runs.sqlite"
    assert json.loads(config_json(config))["metadata"] == {"store": right}
    config = load_config(path, ["metadata.store=mysql://team@db/runs"])
    assert config.metadata.store == "mysql://team@db:3306/runs"
    assert validate_config(tree).metadata.store is None


def test_the_first_that_is_named_counts(tmp_path, monkeypatch):
    workspace = Workspace(tmp_path)
    own = StoreAddress("sqlite", path=tmp_path / "metadata.sqlite")
    assert find_store(workspace) == own
    remember_store(workspace, parse_address("grpc://last:1", "here"))
    assert find_store(workspace).host == "last"
    assert find_store(workspace, "grpc://configured:1").host == "configured"
    monkeypatch.setenv("DECONVFLOW_METADATA_STORE", "grpc://environment:1")
    assert find_store(workspace, "grpc://configured:1").host == "environment"
    assert find_store(Workspace(tmp_path, "grpc://option:1"), "grpc://configured:1").host == "option"
    monkeypatch.setenv("DECONVFLOW_METADATA_STORE", "")
    remember_store(workspace, own)
    assert find_store(workspace) == own
    assert list(tmp_path.iterdir()) == []


def test_a_password_comes_from_the_environment_or_a_file(tmp_path):
    file = tmp_path / "password"
    file.write_text(" with spaces \n")
    assert read_password({}) == ""
    assert read_password({"DECONVFLOW_METADATA_PASSWORD": SECRET}) == SECRET
    assert read_password({"DECONVFLOW_METADATA_PASSWORD_FILE": str(file)}) == " with spaces "
    with pytest.raises(RefusedError, match="twice") as refused:
        read_password(
            {"DECONVFLOW_METADATA_PASSWORD": SECRET, "DECONVFLOW_METADATA_PASSWORD_FILE": str(file)}
        )
    assert SECRET not in str(refused.value)
    for content, says in ((None, "No such file"), (b"\xff\xfe", "UTF-8"), (b"x" * 20_000, "10 kB")):
        file.unlink(missing_ok=True)
        if content is not None:
            file.write_bytes(content)
        with pytest.raises(RefusedError, match=says):
            read_password({"DECONVFLOW_METADATA_PASSWORD_FILE": str(file)})


def test_an_address_is_refused_before_anything_heavy_is_imported():
    code = (
        "import sys, pipeline.config as c, pipeline.store_address as s\n"
        "try: s.parse_address('mysql://x', 'y')\n"
        "except Exception: pass\n"
        "print([m for m in ('tensorflow', 'tfx', 'apache_beam', 'ml_metadata', 'grpc') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
