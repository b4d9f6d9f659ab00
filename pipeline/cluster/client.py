"""Talks to Kubeflow Pipelines through kfp's own client, with time limits and errors in sentences.

kfp's client prints links to stdout, tries some failures for half a minute and waits for others for ever:
``_make_client`` mends these. Where kfp finds its host and credentials is left to it.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.errors import Problem, RefusedError
from pipeline.cluster.explain_backend import BackendError, explain_failure, read_token

_PAGE_SIZE = 100


@dataclass(frozen=True)
class BackendPlace:
    """Where a backend is, as the command line names it."""

    host: str | None = None
    namespace: str | None = None
    """The user's, where the backend serves several."""
    request_seconds: float = 60.0


@dataclass(frozen=True)
class Submission:
    """What a run and a schedule have in common."""

    package: Path
    name: str
    experiment_id: str
    parameters: dict[str, Any]
    pipeline_root: str | None = None
    cache: bool | None = None
    service_account: str | None = None

    def arguments(self) -> dict[str, Any]:
        """Returns them as kfp names them."""
        return {
            "experiment_id": self.experiment_id,
            "job_name": self.name,
            "pipeline_package_path": str(self.package),
            "params": self.parameters,
            "pipeline_root": self.pipeline_root,
            "enable_caching": self.cache,
            "service_account": self.service_account,
        }


@dataclass(frozen=True)
class Timing:
    """When a schedule starts runs."""

    cron: str | None
    interval_seconds: int | None
    start: str | None
    end: str | None
    max_concurrency: int
    catch_up: bool
    enabled: bool


class Backend:
    """One installation of Kubeflow Pipelines. Its methods raise RefusedError, or BackendError where said."""

    def __init__(self, place: BackendPlace) -> None:
        _refuse_nowhere(place.host)
        self.namespace = place.namespace
        self.host = place.host or os.environ.get("KF_PIPELINES_ENDPOINT") or "Kubeflow Pipelines"
        self._secrets = [read_token() or ""]
        with self._talking("connecting"):
            self._client = _make_client(place)
        self.host = self._client._existing_config.host

    @contextlib.contextmanager
    def _talking(self, doing: str, may_have_started: bool = False) -> Iterator[None]:
        with contextlib.redirect_stdout(io.StringIO()), _without_noise():
            try:
                yield
            except Exception as error:
                problem = explain_failure(self.host, doing, error, self._secrets)
                # Of an error status it is known that nothing was begun.
                refused = 400 <= (getattr(error, "status", 0) or 0) < 500
                if may_have_started and not refused and problem.code not in _NEVER_ARRIVED:
                    raise BackendError(problem) from None
                raise RefusedError([problem]) from None

    def open_experiment(self, name: str) -> str:
        """Returns the id of the experiment, which is made if there is none."""
        with self._talking(f"looking for the experiment {name}"):
            found = self._client.create_experiment(name, namespace=self.namespace)
            return str(_require(found, "experiment_id"))

    def submit(self, submission: Submission) -> Any:
        """Starts a run and returns it.

        Raises:
            BackendError: if it may have started.
        """
        with self._talking("submitting the run", may_have_started=True):
            run = self._client.run_pipeline(**submission.arguments())
            _require(run, "run_id")
            return run

    def get_run(self, run_id: str) -> Any:
        """Returns a run.

        Raises:
            BackendError: if it cannot be had; a submitted run is not stopped by that.
        """
        with self._talking(f"asking for run {run_id}", may_have_started=True):
            run = self._client.get_run(run_id)
            _require(run, "run_id")
            return run

    def run_url(self, run_id: str) -> str | None:
        """Returns the address of a run's page; None where only the API's address is known."""
        prefix = self._client._get_url_prefix()
        return f"{prefix.rstrip('/')}/#/runs/details/{run_id}" if prefix.startswith("http") else None

    def create_schedule(self, submission: Submission, timing: Timing) -> Any:
        """Makes a schedule and returns it.

        Raises:
            BackendError: if it may have been made.
        """
        with self._talking("making the schedule", may_have_started=True):
            made = self._client.create_recurring_run(
                **submission.arguments(),
                start_time=timing.start,
                end_time=timing.end,
                interval_second=timing.interval_seconds,
                cron_expression=timing.cron,
                max_concurrency=timing.max_concurrency,
                no_catchup=not timing.catch_up,
                enabled=timing.enabled,
            )
            _require(made, "recurring_run_id")
            return made

    def list_schedules(self) -> list[Any]:
        """Returns all schedules, page by page."""
        found: list[Any] = []
        token = ""
        with self._talking("listing the schedules"):
            while True:
                page = self._client.list_recurring_runs(
                    page_token=token, page_size=_PAGE_SIZE, namespace=self.namespace
                )
                found += page.recurring_runs or []
                token = page.next_page_token or ""
                if not token:
                    return found

    def get_schedule(self, schedule_id: str) -> Any:
        """Returns one schedule."""
        with self._talking(f"asking for schedule {schedule_id}"):
            found = self._client.get_recurring_run(schedule_id)
            _require(found, "recurring_run_id")
            return found

    def set_enabled(self, schedule_id: str, enabled: bool) -> None:
        """Lets a schedule start runs, or not."""
        with self._talking(f"{'enabling' if enabled else 'disabling'} schedule {schedule_id}"):
            if enabled:
                self._client.enable_recurring_run(schedule_id)
            else:
                self._client.disable_recurring_run(schedule_id)

    def delete_schedule(self, schedule_id: str) -> None:
        """Deletes a schedule; its runs stay."""
        with self._talking(f"deleting schedule {schedule_id}"):
            self._client.delete_recurring_run(schedule_id)


_NEVER_ARRIVED = frozenset({"backend_tls", "backend_name", "backend_refused"})


def _require(answer: Any, key: str) -> Any:
    value = getattr(answer, key, None)
    if not value:
        raise ValueError(f"no {key} in the answer")
    return value


def _refuse_nowhere(host: str | None) -> None:
    """Refuses where kfp would fall back to port 80 of this machine."""
    kubeconfig = Path(os.environ.get("KUBECONFIG") or Path.home() / ".kube" / "config")
    in_cluster = "KUBERNETES_SERVICE_HOST" in os.environ
    if host or os.environ.get("KF_PIPELINES_ENDPOINT") or in_cluster or kubeconfig.exists():
        return
    what = "is not given, and there is neither KF_PIPELINES_ENDPOINT nor a kubeconfig here"
    remedy = "Give the address of the API of Kubeflow Pipelines, as http://localhost:8888"
    raise RefusedError([Problem("--host", what, remedy, "no_backend")])


def _make_client(place: BackendPlace) -> Any:
    import urllib3
    from kfp.client import Client as KfpClient
    from kfp.client.set_volume_credentials import ServiceAccountTokenVolumeCredentials

    limits = (min(10.0, place.request_seconds), place.request_seconds)

    class Client(KfpClient):
        def _load_config(self, *args: Any, **kwargs: Any) -> Any:
            config = super()._load_config(*args, **kwargs)
            # Never again for what may have been done already: connections and reads that change nothing.
            config.retries = urllib3.Retry(total=2, connect=1, read=1, redirect=2, backoff_factor=0.2)
            return config

        def get_kfp_healthz(self, sleep_duration: int = 5) -> Any:
            """Asks once; kfp asks five times, also where credentials are missing."""
            _limit_time(self._healthz_api.api_client, limits)
            return self._healthz_api.healthz_service_get_healthz()

    named = place.host or os.environ.get("KF_PIPELINES_ENDPOINT")
    with_volume = named and os.environ.get("KF_PIPELINES_SA_TOKEN_PATH")
    client = Client(
        host=place.host,
        existing_token=read_token(),
        credentials=ServiceAccountTokenVolumeCredentials() if with_volume else None,
        ssl_ca_cert=os.environ.get("KFP_SSL_CA_CERT") or os.environ.get("SSL_CERT_FILE"),
    )
    _limit_time(client._run_api.api_client, limits)
    return client


def _limit_time(api_client: Any, limits: tuple[float, float]) -> None:
    """Gives every request time limits: the generated client has none."""
    rest = api_client.rest_client
    if getattr(rest, "limits_time", False):
        return
    request = rest.request

    def limited(*args: Any, **kwargs: Any) -> Any:
        kwargs["_request_timeout"] = kwargs.get("_request_timeout") or limits
        return request(*args, **kwargs)

    rest.request = limited
    rest.limits_time = True


@contextlib.contextmanager
def _without_noise() -> Iterator[None]:
    """Keeps the warnings of kfp and urllib3 from stderr: what matters becomes an error."""
    loggers = [logging.getLogger(name) for name in ("urllib3", "kfp", "root")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
