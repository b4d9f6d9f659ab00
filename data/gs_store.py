"""A bucket of Google Cloud Storage, or of an emulator by STORAGE_EMULATOR_HOST."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from google.api_core import exceptions
from google.auth import exceptions as auth_exceptions
from google.cloud import storage

from data.errors import Problem
from data.object_store import StoredObject, StoreError, missing_object, no_bucket, no_permission

_CREDENTIALS_REMEDY = (
    "Set GOOGLE_APPLICATION_CREDENTIALS, run on a machine with a service account, or log in by "
    "`gcloud auth application-default login`"
)


class GsStore:
    """See ``data.object_store.ObjectStore``. Threads may share it."""

    def __init__(self, bucket: str) -> None:
        self._name = bucket
        with self._explaining("", "opening"):
            # Objects need no project, and asking for one would fail outside of Google's machines.
            self._client = storage.Client(project=None)
        self._bucket = self._client.bucket(bucket)

    def list_objects(self, prefix: str) -> Iterator[StoredObject]:
        """Yields the objects below a prefix, page by page."""
        with self._explaining(prefix, "listing", of_bucket=True):
            for blob in self._client.list_blobs(self._bucket, prefix=prefix):
                yield StoredObject(blob.name, blob.updated)

    def exists(self, key: str) -> bool:
        """Asks for the object's metadata."""
        with self._explaining(key, "reading"):
            return bool(self._bucket.blob(key).exists())

    def read(self, key: str) -> bytes:
        """Returns an object's content."""
        with self._explaining(key, "reading"):
            content: bytes = self._bucket.blob(key).download_as_bytes()
        return content

    def write(self, key: str, content: bytes, only_new: bool = False) -> bool:
        """Writes an object, on condition that it has no generation yet if asked to."""
        condition = {"if_generation_match": 0} if only_new else {}
        try:
            with self._explaining(key, "writing", of_bucket=True):
                self._bucket.blob(key).upload_from_string(
                    content, content_type="application/octet-stream", checksum="md5", **condition
                )
        except FileExistsError:
            return False
        return True

    def upload(self, source: Path, key: str) -> None:
        """Writes a file."""
        with self._explaining(key, "writing", of_bucket=True):
            self._bucket.blob(key).upload_from_filename(str(source), checksum="md5")

    def delete(self, keys: Iterable[str]) -> None:
        """Deletes objects one by one."""
        for key in keys:
            try:
                with self._explaining(key, "deleting"):
                    self._bucket.blob(key).delete()
            except FileNotFoundError:
                continue

    @contextmanager
    def _explaining(self, key: str, doing: str, of_bucket: bool = False) -> Iterator[None]:
        """Turns Google's exceptions into FileNotFoundError, FileExistsError and StoreError."""
        where = f"gs://{self._name}/{key}"
        try:
            yield
        except exceptions.NotFound as error:
            missing_bucket = of_bucket or "bucket does not exist" in str(error)
            raise (no_bucket(where, self._name) if missing_bucket else missing_object(where)) from error
        except exceptions.PreconditionFailed as error:
            raise FileExistsError(17, "there is such an object already", where) from error
        except (exceptions.Forbidden, exceptions.Unauthorized) as error:
            raise no_permission(where, doing) from error
        except auth_exceptions.GoogleAuthError as error:
            what = f"there are no credentials to open it, or they are refused ({_first_line(error)})"
            raise StoreError(Problem(where, what, _CREDENTIALS_REMEDY, "no_credentials")) from error
        except (exceptions.GoogleAPIError, OSError, ValueError) as error:
            what = f"{doing} failed ({type(error).__name__}: {_first_line(error)})"
            remedy = "Check the bucket's name and the network, and try again"
            raise StoreError(Problem(where, what, remedy, "store_failed")) from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0]
