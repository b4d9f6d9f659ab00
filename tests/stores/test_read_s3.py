"""Listing and reading a data set behind the S3 API."""

from __future__ import annotations

from typing import Any

import pytest

from data.errors import RefusedError
from data.object_store import StoreError, open_bucket
from data.open_files import exists, list_files, read_bytes


def test_files_are_listed_and_read(s3: Any) -> None:
    for key in ("set/images/a.png", "set/b.txt", "set/.hidden/c.png", "set/folder/", "settle/d.png"):
        s3.client.put_object(Bucket="bucket", Key=key, Body=key.encode())
    tree = list_files("s3://bucket/set/")
    assert tree.files == ("b.txt", "images/a.png") and tree.folders == {"images"}
    assert tree.path("images/a.png") == "s3://bucket/set/images/a.png"
    assert read_bytes(tree.path("images/a.png")) == b"set/images/a.png"
    assert exists("s3://bucket/set") and exists("s3://bucket/set/b.txt")
    assert not exists("s3://bucket/se") and not exists("s3://bucket/set/c.txt")
    assert "set/b.txt" in list_files("s3://bucket").files
    with pytest.raises(FileNotFoundError):
        read_bytes("s3://bucket/set/c.txt")


def test_more_than_a_page_is_listed(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "3")
    store, _ = open_bucket("s3://bucket")
    for number in range(10):
        assert store.write(f"many/{number}.png", b"")
    assert s3.client.list_objects_v2(Bucket="bucket")["IsTruncated"]
    assert list_files("s3://bucket/many").files == tuple(f"{number}.png" for number in range(10))
    store.delete(f"many/{number}.png" for number in range(9))
    assert s3.keys() == ["many/9.png"]


def test_only_the_first_conditional_write_counts(s3: Any) -> None:
    store, _ = open_bucket("s3://bucket")
    assert store.write("claim", b"first", only_new=True)
    assert not store.write("claim", b"second", only_new=True)
    assert s3.read("claim") == b"first"
    assert store.write("claim", b"third")
    assert s3.read("claim") == b"third"


def test_nothing_below_a_folder_is_refused(s3: Any) -> None:
    with pytest.raises(RefusedError, match="s3://bucket/nothing: there is no file below it"):
        list_files("s3://bucket/nothing")


def test_a_bucket_that_is_not_there_is_refused(s3: Any) -> None:
    with pytest.raises(RefusedError, match=r"there is no bucket elsewhere. Correct its name, or create it"):
        list_files("s3://elsewhere/set")
    with pytest.raises(RefusedError, match="names no bucket"):
        list_files("s3://")


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (403, "AccessDenied", "do not permit listing here. Have that permission given"),
        (403, "InvalidAccessKeyId", "credentials of the environment are refused.*AWS_ACCESS_KEY_ID"),
        (400, "IllegalLocationConstraintException", "not in the region.*AWS_REGION"),
        (400, "Strange", r"listing failed \(Strange: said so\)"),
    ],
)
def test_each_refusal_of_a_store_is_a_sentence_with_its_remedy(
    answer_with: Any, status: int, code: str, said: str
) -> None:
    answer_with(status, code)
    with pytest.raises(RefusedError, match=said):
        list_files("s3://bucket/set")


def test_a_file_that_may_not_be_read_says_so(answer_with: Any) -> None:
    answer_with(403, "AccessDenied")
    with pytest.raises(StoreError, match="do not permit reading here"):
        read_bytes("s3://bucket/a.png")


def test_no_credentials_are_a_sentence(s3: Any, no_aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(RefusedError, match=r"no credentials to open it.*Set AWS_ACCESS_KEY_ID"):
        list_files("s3://bucket/set")


def test_a_server_that_is_not_there_is_a_sentence(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    with pytest.raises(RefusedError, match=r"cannot be reached.*storage\.s3_endpoint_url"):
        list_files("s3://bucket/set")
