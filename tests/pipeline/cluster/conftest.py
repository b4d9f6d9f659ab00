"""A small specification as backends take it, written by hand, and servers that stand in for them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


def _text() -> dict[str, Any]:
    return {"artifactType": {"instanceSchema": "title: tfx.String\ntype: object\n"}}


def _container(*args: str) -> dict[str, Any]:
    return {"container": {"image": "deconvflow:1", "command": ["python", "-m", "x"], "args": list(args)}}


@contextlib.contextmanager
def _serve(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def serve() -> Callable[[type[BaseHTTPRequestHandler]], contextlib.AbstractContextManager[str]]:
    """Serves a stand-in on loopback while its context lasts, and yields its address."""
    return _serve


@pytest.fixture
def spec() -> dict[str, Any]:
    """Two tasks: Look hands a parameter and an artifact to Train, which takes a runtime parameter, too."""
    return {
        "schemaVersion": "2.1.0",
        "sdkVersion": "deconvflow-0",
        "defaultPipelineRoot": "minio://mlpipeline/x",
        "pipelineInfo": {"name": "streets"},
        "root": {
            "inputDefinitions": {
                "parameters": {
                    "epochs": {"parameterType": "NUMBER_INTEGER", "defaultValue": 3, "isOptional": True}
                }
            },
            "dag": {
                "tasks": {
                    "Look": {
                        "taskInfo": {"name": "Look"},
                        "componentRef": {"name": "Look"},
                        "inputs": {"parameters": {"place": {"runtimeValue": {"constant": "s3://b"}}}},
                    },
                    "Train": {
                        "taskInfo": {"name": "Train"},
                        "componentRef": {"name": "Train"},
                        "dependentTasks": ["Look"],
                        "inputs": {
                            "parameters": {
                                "epochs": {"componentInputParameter": "epochs"},
                                "found": {
                                    "taskOutputParameter": {
                                        "producerTask": "Look",
                                        "outputParameterKey": "found",
                                    }
                                },
                            },
                            "artifacts": {
                                "found": {
                                    "taskOutputArtifact": {
                                        "producerTask": "Look",
                                        "outputArtifactKey": "found",
                                    }
                                }
                            },
                        },
                        "cachingOptions": {"enableCache": True},
                    },
                }
            },
        },
        "components": {
            "Look": {
                "executorLabel": "Look_executor",
                "inputDefinitions": {"parameters": {"place": {"parameterType": "STRING"}}},
                "outputDefinitions": {
                    "parameters": {"found": {"parameterType": "STRING"}},
                    "artifacts": {"found": _text()},
                },
            },
            "Train": {
                "executorLabel": "Train_executor",
                "inputDefinitions": {
                    "parameters": {
                        "epochs": {"parameterType": "NUMBER_INTEGER"},
                        "found": {"parameterType": "STRING"},
                    },
                    "artifacts": {"found": _text()},
                },
            },
        },
        "deploymentSpec": {
            "executors": {
                "Look_executor": _container("--what", "{{$}}"),
                "Train_executor": _container("{{$}}", "--epochs={{$.inputs.parameters['epochs']}}"),
            }
        },
    }


@pytest.fixture
def platforms() -> dict[str, Any]:
    """The platform document that goes with it."""
    step = {"nodeSelector": {"labels": {"pool": "gpu"}}}
    return {"platforms": {"kubernetes": {"deploymentSpec": {"executors": {"Train_executor": step}}}}}
