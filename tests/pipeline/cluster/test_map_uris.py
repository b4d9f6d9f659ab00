from __future__ import annotations

import pytest

from pipeline.cluster.map_uris import UriMap, stage_uri


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("minio://mlpipeline/v2/a", "/minio/mlpipeline/v2/a"),
        ("s3://bucket/a b/c", "/s3/bucket/a b/c"),
        ("gs://bucket/a", "/gcs/bucket/a"),
        ("/already/here", "/already/here"),
        ("https://example.org/a", "https://example.org/a"),
        ("", ""),
    ],
)
def test_uris_are_staged_where_the_launcher_stages_them(uri, path):
    assert stage_uri(uri, "/") == path


def test_the_environment_may_name_another_root(monkeypatch):
    monkeypatch.setenv("DECONVFLOW_STAGING_ROOT", "/pods/1/")
    assert stage_uri("minio://b/a") == "/pods/1/minio/b/a"


def test_local_paths_become_uris_again():
    uris = UriMap(["minio://b/model", "s3://c/examples"], "/")
    assert uris.stage("minio://b/model") == "/minio/b/model"
    assert uris.restore("/minio/b/model") == "minio://b/model"
    assert uris.restore("/minio/b/model/Format-Serving/x") == "minio://b/model/Format-Serving/x"
    assert uris.restore("/s3/c/examples/Split-train") == "s3://c/examples/Split-train"


def test_what_only_looks_alike_stays():
    uris = UriMap(["minio://b/model"], "/")
    for text in ("/minio/b/model2", "/minio/b", "model", "/srv/minio/b/model", ""):
        assert uris.restore(text) == text


def test_the_innermost_folder_counts():
    uris = UriMap(["s3://b/a", "minio://b/a/b"], "/")
    nested = UriMap(["minio://x/a", "minio://x/a/inner"], "/")
    assert uris.restore("/minio/b/a/b/c") == "minio://b/a/b/c"
    assert nested.restore("/minio/x/a/inner/c") == "minio://x/a/inner/c"


def test_documents_are_restored_at_any_depth():
    uris = UriMap(["minio://b/m"], "/")
    document = {"a": ["/minio/b/m", 1.5, None, True], "b": {"c": "/minio/b/m/x"}, "d": "other"}
    assert uris.restore_all(document) == {
        "a": ["minio://b/m", 1.5, None, True],
        "b": {"c": "minio://b/m/x"},
        "d": "other",
    }


def test_paths_in_a_text_are_restored_wherever_they_stand():
    uris = UriMap(["minio://b/m", "s3://c/e"], "/pods/1")
    text = '<a href="/pods/1/minio/b/m/x">/pods/1/s3/c/e</a>'
    assert uris.restore_text(text) == '<a href="minio://b/m/x">s3://c/e</a>'
