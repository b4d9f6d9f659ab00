"""Where and as what models are pushed: what is refused, and what this process is told of object stores."""

from __future__ import annotations

import os

from components.check_formats import find_missing_packages
from data.errors import Problem, RefusedError
from data.object_store import S3_ENDPOINT_VARIABLES, is_in_object_store
from data.open_files import is_remote
from pipeline.config import PipelineConfig

_CREDENTIALS = ("--s3_access_key_id", "--s3_secret_access_key", "--s3_session_token")


def prepare_storage(config: PipelineConfig) -> None:
    """Tells the clients of this process, and of those that it starts, where the S3 API is.

    Raises:
        RefusedError: if models cannot be pushed to ``push.root`` or as ``push.extra_formats``, or credentials
            are among Beam's arguments.
    """
    problems = [
        Problem(
            "beam.args",
            f"holds {argument.split('=')[0]}, and would be recorded with the run",
            "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment instead",
            "secret_in_config",
        )
        for argument in config.beam.args
        if argument.split("=")[0] in _CREDENTIALS
    ]
    root = config.push.root
    if root and is_remote(root) and not is_in_object_store(root):
        remedy = "Take s3:// (MinIO's too, by storage.s3_endpoint_url), gs:// or a local folder"
        problems.append(Problem("push.root", f"is {root}, which models cannot be pushed to", remedy))
    problems += find_missing_packages(config.push.extra_formats)
    if problems:
        raise RefusedError(problems)
    endpoint = config.storage.s3_endpoint_url
    if endpoint and not any(os.environ.get(name) for name in S3_ENDPOINT_VARIABLES):
        os.environ[S3_ENDPOINT_VARIABLES[0]] = endpoint
