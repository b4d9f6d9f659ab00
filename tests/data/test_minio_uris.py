from __future__ import annotations

import pytest

from data.errors import RefusedError
from data.object_store import is_in_object_store
from data.open_files import exists, read_bytes


def test_minio_is_an_object_store():
    assert is_in_object_store("minio://mlpipeline/deconvflow/a")


@pytest.mark.parametrize("ask", [exists, read_bytes])
def test_without_an_address_nobody_is_asked(monkeypatch, ask):
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(RefusedError, match="Set AWS_ENDPOINT_URL"):
        ask("minio://mlpipeline/a")
