"""Asks Kubernetes' API for training jobs and their pods, and asks again while it is in trouble.

What is asked for comes as plain dictionaries, as in YAML. The client of Kubernetes is imported when it is
needed.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from data.errors import Problem, RefusedError
from pipeline.cluster.hide_secrets import hide_secrets
from pipeline.cluster.job_resources import ENDPOINTS, Endpoint, JobPlan, build_resources

_LOGGER = logging.getLogger("pipeline.cluster.training_job")
_REQUEST_SECONDS = 30
_CONFLICT, _NOT_FOUND, _FORBIDDEN = 409, 404, 403
_PASSING = frozenset({0, 401, 408, 429})
"""Statuses that may be another one soon: no connection, a token that is just renewed, too much asked."""
_LONGEST_WORDS = 300


class TrainingJobError(RuntimeError):
    """A training job failed, was deleted, or is out of sight."""


@dataclass(frozen=True)
class Pace:
    """How often, and how long, the API is asked.

    Attributes:
        first_seconds: pause after something has changed.
        longest_seconds: pause while nothing changes.
        patience_seconds: an API that does not answer is asked for so long.
    """

    first_seconds: float = 1.0
    longest_seconds: float = 15.0
    patience_seconds: float = 900.0

    def lengthen(self, seconds: float) -> float:
        """Returns the pause after one of so many seconds."""
        return min(seconds * 1.5, self.longest_seconds)


def connect() -> Any:
    """Returns Kubernetes' client: as the pod's service account, or as KUBECONFIG says.

    Raises:
        RefusedError: there is neither.
    """
    from kubernetes import client, config

    configuration = client.Configuration()
    try:
        try:
            config.load_incluster_config(client_configuration=configuration)
        except config.ConfigException:
            file = os.environ.get("KUBECONFIG")
            config.load_kube_config(config_file=file, client_configuration=configuration)
    except (config.ConfigException, OSError) as error:
        what = f"needs Kubernetes' API, and there is none here ({_shorten(str(error))})"
        remedy = "Run the compiled pipeline on the cluster, its pods with their service account's token"
        raise RefusedError([Problem("kubeflow.training_job", what, remedy, "no_kubernetes")]) from None
    # Its own tries would come without a pause between them.
    configuration.retries = False
    return client.ApiClient(configuration)


class JobApi:
    """The resources of one training job.

    Args:
        plan: the job.
        client: of ``connect``.
        pace: how long to ask.
    """

    def __init__(self, plan: JobPlan, client: Any, pace: Pace) -> None:
        from kubernetes.client import CoreV1Api, CustomObjectsApi

        self._plan, self._pace = plan, pace
        self._objects, self._core = CustomObjectsApi(client), CoreV1Api(client)
        self._may_list_pods = True

    def create(self) -> None:
        """Makes the job; what is there of it already, by a call whose answer was lost, stays.

        Raises:
            RefusedError: the API does not know such jobs, or does not allow it.
            TrainingJobError: it does not answer.
        """
        for endpoint, body in zip(ENDPOINTS[self._plan.kind], build_resources(self._plan), strict=True):
            self._ask(
                f"creating {endpoint.kind} {self._plan.name}",
                partial(
                    self._objects.create_namespaced_custom_object,
                    endpoint.group,
                    endpoint.version,
                    self._plan.namespace,
                    endpoint.plural,
                    body,
                    _request_timeout=_REQUEST_SECONDS,
                ),
                endpoint=endpoint,
                harmless=_CONFLICT,
            )

    def read(self) -> dict[str, Any] | None:
        """Returns the job; None where there is none.

        Raises:
            RefusedError: the API does not allow it.
            TrainingJobError: it does not answer.
        """
        endpoint = ENDPOINTS[self._plan.kind][-1]
        found: dict[str, Any] | None = self._ask(
            f"asking for {self._plan.title}",
            partial(
                self._objects.get_namespaced_custom_object,
                *self._place(endpoint),
                _request_timeout=_REQUEST_SECONDS,
            ),
            endpoint=endpoint,
            harmless=_NOT_FOUND,
        )
        return found

    def delete(self, patience_seconds: float | None = None) -> None:
        """Deletes the job with its pods, if it is there; the job itself first.

        Raises:
            RefusedError: the API does not allow it.
            TrainingJobError: it does not answer, for so many seconds.
        """
        for endpoint in reversed(ENDPOINTS[self._plan.kind]):
            self._ask(
                f"deleting {endpoint.kind} {self._plan.name}",
                partial(
                    self._objects.delete_namespaced_custom_object,
                    *self._place(endpoint),
                    propagation_policy="Background",
                    _request_timeout=_REQUEST_SECONDS,
                ),
                endpoint=endpoint,
                harmless=_NOT_FOUND,
                patience_seconds=patience_seconds,
            )

    def list_pods(self) -> list[dict[str, Any]]:
        """Returns the pods of the job; none where that fails: they explain, no more."""
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        if not self._may_list_pods:
            return []
        try:
            answer = self._core.list_namespaced_pod(
                self._plan.namespace,
                label_selector=self._plan.pod_selector,
                _preload_content=False,
                _request_timeout=_REQUEST_SECONDS,
            )
            return list(json.loads(answer.data).get("items") or [])
        except ApiException as error:
            self._may_list_pods = error.status != _FORBIDDEN
        except (HTTPError, OSError, ValueError):
            pass
        return []

    def _place(self, endpoint: Endpoint) -> tuple[str, str, str, str, str]:
        return endpoint.group, endpoint.version, self._plan.namespace, endpoint.plural, self._plan.name

    def _ask(
        self,
        doing: str,
        call: Callable[[], Any],
        *,
        endpoint: Endpoint,
        harmless: int,
        patience_seconds: float | None = None,
    ) -> Any:
        """Calls again while the API is in trouble; None where it answers with the harmless status."""
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        patience = self._pace.patience_seconds if patience_seconds is None else patience_seconds
        deadline, pause = time.monotonic() + patience, self._pace.first_seconds
        while True:
            try:
                return call()
            except ApiException as error:
                status = error.status or 0
                said = _read_words(error)
                if status == harmless and not _is_unknown_kind(error):
                    return None
                if status not in _PASSING and status < 500:
                    raise self._refuse(endpoint, doing, status, said) from None
            except (HTTPError, OSError) as error:
                said = _shorten(str(error))
            if time.monotonic() >= deadline:
                raise TrainingJobError(
                    f"Kubernetes' API is in trouble ({doing}: {said}). {self._plan.title} in the namespace "
                    f"{self._plan.namespace} goes on by itself; start the step again to wait for it."
                )
            _LOGGER.warning("Kubernetes' API is in trouble (%s: %s); trying again", doing, said)
            time.sleep(pause)
            pause = self._pace.lengthen(pause)

    def _refuse(self, endpoint: Endpoint, doing: str, status: int, said: str) -> RefusedError:
        what = f"cannot be had: {doing} is answered with HTTP {status} ({said})"
        name = f"{endpoint.plural}.{endpoint.group}"
        remedy = {
            _NOT_FOUND: f"Install the operator of {name} ({endpoint.version}), or mend kind and namespace",
            _FORBIDDEN: "Give the step's service account the role of kubeflow/manifests/training-access.yaml",
        }.get(status, "Mend what it names")
        return RefusedError([Problem("kubeflow.training_job", what, remedy, f"training_job_{status}")])


def _is_unknown_kind(error: Any) -> bool:
    """Whether the API knows no such kind: its answer then is no Status of a resource."""
    if error.status != _NOT_FOUND:
        return False
    try:
        return not json.loads(error.body).get("details", {}).get("name")
    except (TypeError, ValueError, AttributeError):
        return True


def _read_words(error: Any) -> str:
    """Returns the API's own words, on one line."""
    try:
        return _shorten(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        return _shorten(error.reason or f"HTTP {error.status}")


def _shorten(text: object) -> str:
    line = " ".join(hide_secrets(str(text)).split())
    return line if len(line) <= _LONGEST_WORDS else line[:_LONGEST_WORDS] + " ..."
