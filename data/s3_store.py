"""A bucket behind the S3 API: Amazon's, MinIO's or another's, by AWS_ENDPOINT_URL_S3."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from botocore import exceptions
from botocore.config import Config

from data.errors import Problem
from data.object_store import StoredObject, StoreError, missing_object, no_bucket, no_permission

MAX_CONNECTIONS = 32
_LARGEST_PUT_BYTES = 1 << 28
_DELETED_AT_ONCE = 1000
_MISSING = frozenset({"NoSuchKey", "404", "NotFound"})
_FORBIDDEN = frozenset({"AccessDenied", "403", "Forbidden", "AllAccessDisabled", "AccountProblem"})
_TAKEN = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412", "409"})
_BAD_CREDENTIALS = frozenset(
    {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "TokenRefreshRequired"}
)
_OTHER_REGION = frozenset(
    {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301"}
)
_NO_CREDENTIALS = (
    exceptions.NoCredentialsError,
    exceptions.PartialCredentialsError,
    exceptions.CredentialRetrievalError,
    exceptions.TokenRetrievalError,
    exceptions.ProfileNotFound,
)
_CREDENTIALS_REMEDY = (
    "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or another of boto3's sources, in the "
    "environment of every process that opens it"
)


class S3Store:
    """See ``data.object_store.ObjectStore``. Threads may share it."""

    def __init__(self, bucket: str) -> None:
        self._bucket = bucket
        # Stores that are not Amazon's often know no other checksum than Content-MD5.
        config = Config(
            retries={"mode": "standard"},
            connect_timeout=10,
            max_pool_connections=MAX_CONNECTIONS,
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        with self._explaining("", "opening"):
            self._client = boto3.session.Session().client("s3", config=config)

    def list_objects(self, prefix: str) -> Iterator[StoredObject]:
        """Yields the objects below a prefix, a thousand a request."""
        with self._explaining(prefix, "listing"):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
            for page in pages:
                for entry in page.get("Contents", ()):
                    yield StoredObject(entry["Key"], entry["LastModified"])

    def exists(self, key: str) -> bool:
        """Asks for the object's head."""
        try:
            with self._explaining(key, "reading"):
                self._client.head_object(Bucket=self._bucket, Key=key)
        except FileNotFoundError:
            return False
        return True

    def read(self, key: str) -> bytes:
        """Returns an object's content, in one request."""
        with self._explaining(key, "reading"):
            content: bytes = self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        return content

    def write(self, key: str, content: bytes, only_new: bool = False) -> bool:
        """Writes an object, on condition that there is none if asked to."""
        condition = {"IfNoneMatch": "*"} if only_new else {}
        try:
            with self._explaining(key, "writing"):
                self._put(key, content, hashlib.md5(content, usedforsecurity=False).digest(), **condition)
        except FileExistsError:
            return False
        return True

    def upload(self, source: Path, key: str) -> None:
        """Writes a file, in parts if it is large."""
        with self._explaining(key, "writing"):
            if source.stat().st_size > _LARGEST_PUT_BYTES:
                self._client.upload_file(str(source), self._bucket, key)
                return
            with source.open("rb") as stream:
                digest = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).digest()
                stream.seek(0)
                self._put(key, stream, digest)

    def _put(self, key: str, body: Any, md5: bytes, **condition: str) -> None:
        self._client.put_object(
            Bucket=self._bucket,
            Key=key,
            Body=body,
            ContentMD5=base64.b64encode(md5).decode(),
            **condition,
        )

    def delete(self, keys: Iterable[str]) -> None:
        """Deletes objects, a thousand a request."""
        waiting = list(keys)
        for start in range(0, len(waiting), _DELETED_AT_ONCE):
            objects = [{"Key": key} for key in waiting[start : start + _DELETED_AT_ONCE]]
            with self._explaining(objects[0]["Key"], "deleting"):
                done = self._client.delete_objects(
                    Bucket=self._bucket, Delete={"Objects": objects, "Quiet": True}
                )
                if done.get("Errors"):
                    raise exceptions.ClientError({"Error": done["Errors"][0]}, "DeleteObjects")

    @contextmanager
    def _explaining(self, key: str, doing: str) -> Iterator[None]:
        """Turns boto3's exceptions into FileNotFoundError, FileExistsError and StoreError."""
        where = f"s3://{self._bucket}/{key}"
        try:
            yield
        except exceptions.ClientError as error:
            raise self._explain(where, doing, error) from error
        except _NO_CREDENTIALS as error:
            what = f"there are no credentials to open it ({error})"
            raise StoreError(Problem(where, what, _CREDENTIALS_REMEDY, "no_credentials")) from error
        except exceptions.ParamValidationError as error:
            raise no_bucket(where, self._bucket) from error
        except (exceptions.BotoCoreError, boto3.exceptions.Boto3Error, ValueError) as error:
            what = f"the store cannot be reached or does not answer as S3 does ({error})"
            remedy = "Check the network, and the address in AWS_ENDPOINT_URL_S3 or storage.s3_endpoint_url"
            raise StoreError(Problem(where, what, remedy, "no_store")) from error

    def _explain(self, where: str, doing: str, error: exceptions.ClientError) -> OSError:
        code = str(error.response.get("Error", {}).get("Code", ""))
        said = str(error.response.get("Error", {}).get("Message", "")) or code
        if code in _MISSING:
            return missing_object(where)
        if code == "NoSuchBucket":
            return no_bucket(where, self._bucket)
        if code in _TAKEN:
            return FileExistsError(17, "there is such an object already", where)
        if code in _FORBIDDEN:
            return no_permission(where, doing)
        if code in _BAD_CREDENTIALS:
            what = f"the credentials of the environment are refused ({said})"
            return StoreError(Problem(where, what, _CREDENTIALS_REMEDY, "bad_credentials"))
        if code in _OTHER_REGION:
            what = f"the bucket is not in the region that was asked ({said})"
            return StoreError(Problem(where, what, "Set AWS_REGION to the bucket's region", "other_region"))
        what = f"{doing} failed ({code}: {said})"
        return StoreError(Problem(where, what, "Try again, or ask whoever keeps the store", "store_failed"))
