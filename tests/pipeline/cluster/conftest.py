"""A small specification as backends take it, written by hand."""

from __future__ import annotations

from typing import Any

import pytest


def _text() -> dict[str, Any]:
    return {"artifactType": {"instanceSchema": "title: tfx.String\ntype: object\n"}}


def _container(*args: str) -> dict[str, Any]:
    return {"container": {"image": "deconvflow:1", "command": ["python", "-m", "x"], "args": list(args)}}


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
