"""Records a step whatever state the metadata store is in: insists, and leaves it at a warning at the end."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

from ml_metadata import errors
from ml_metadata.proto import metadata_store_pb2 as pb

from data.errors import Problem, RefusedError
from pipeline.cluster.hide_secrets import hide_secrets
from pipeline.cluster.prepare_properties import merge_overrides
from pipeline.cluster.read_arguments import RUN_VARIABLE, StepArguments
from pipeline.cluster.record_step import ArtifactDict, StepPlace, StepRecord, copy_artifact
from pipeline.cluster.run_executor import Invocation
from pipeline.cluster.summarise_step import summarise_failure, summarise_success
from pipeline.connect_store import connect, open_store
from pipeline.register_run import StoreHandle
from pipeline.store_address import STORE_VARIABLE, parse_address

PATIENCE_VARIABLE = "DECONVFLOW_METADATA_PATIENCE_SECONDS"
"""How long a metadata store that does not work is asked again."""

_DEFAULT_PATIENCE_SECONDS = 120.0
_PAUSE_SECONDS = 5.0
_LOGGER = logging.getLogger(__name__)
_PASSING = (
    RuntimeError,
    errors.AbortedError,
    errors.DeadlineExceededError,
    errors.InternalError,
    errors.ResourceExhaustedError,
    errors.UnavailableError,
    errors.UnknownError,
)
"""What MLMD raises where the server, and not what it was asked, is at fault."""


class StepRecorder:
    """Records a step in the store that the environment names, or nothing where it names none.

    Args:
        step: its command line.
        invocation: its artifacts.
        execution_type: of its execution.

    Raises:
        RefusedError: if the store's address is impossible, or the run has no id.
    """

    def __init__(self, step: StepArguments, invocation: Invocation, execution_type: pb.ExecutionType) -> None:
        self._step, self._invocation, self._type = step, invocation, execution_type
        self.run_id = step.run_id or _derive_run_id(invocation, step.pipeline_name)
        named = os.environ.get(STORE_VARIABLE)
        self.address = parse_address(named, STORE_VARIABLE) if named else None
        """Of the store; None where nothing is recorded."""
        self._record: StepRecord | None = None
        self._open = ExitStack()
        if self.address is None:
            _LOGGER.warning("%s is not set: this run is not recorded", STORE_VARIABLE)

    def start(self, properties: Mapping[str, Any]) -> None:
        """Records the step as running, and the run where it is its first step.

        Raises:
            RefusedError: if the store is in trouble for too long; nothing was started.
        """
        if self.address is None:
            return
        try:
            self._insist(lambda: self._start(properties))
        except RefusedError:
            self.address = None  # That it failed for want of a store cannot be recorded there.
            raise

    def finish(self) -> None:
        """Records the step as complete, and the run's end if this step is one; never raises."""
        record, invocation = self._record, self._invocation
        if self.address is None or record is None:
            return
        outputs = invocation.with_uris(invocation.outputs)
        summary = summarise_success(self._step.node_id, invocation.inputs, invocation.outputs, outputs)

        def finish() -> None:
            # Copies: an attempt that fails may have given them ids.
            record.finish({key: [copy_artifact(one) for one in found] for key, found in outputs.items()})
            if summary:
                record.put_summary(summary | {"seconds": time.time() - record.run_started})

        self._try(finish, "the step succeeded, but its record says that it is running still")

    def fail(self, error: BaseException) -> None:
        """Records the step as failed, and with it the run; never raises."""
        if self.address is None:
            return
        text = hide_secrets(str(error) or type(error).__name__)
        summary = summarise_failure(self._step.node_id, error, text)

        def fail() -> None:
            record = self._record
            if record is None or not record.is_started:
                record = self._start(self._invocation.properties)
            record.fail()
            facts = {
                "data_fingerprint": record.find_data_fingerprint(),
                "seconds": time.time() - record.run_started,
            }
            record.put_summary(record.read_summary() | summary | facts)

        self._try(fail, "the step's failure is not recorded")

    def _start(self, properties: Mapping[str, Any]) -> StepRecord:
        record = self._record or self._register(properties)
        shown = {
            key: hide_secrets(value) if isinstance(value, str) else value for key, value in properties.items()
        }
        record.start(self._type, self._invocation.with_uris(self._invocation.inputs), shown)
        return record

    def _register(self, properties: Mapping[str, Any]) -> StepRecord:
        assert self.address is not None
        open_store(self.address, create=True)
        handle = self._open.enter_context(StoreHandle(connect(self.address)))
        place = StepPlace(self._step.pipeline_name, self.run_id, self._step.node_id)
        record = StepRecord(handle, place)
        record.describe_run(_read_configuration(self._step, properties, record.read_configuration()))
        self._record = record
        return record

    def _insist(self, call: Callable[[], object]) -> None:
        """Calls again while the store is in trouble.

        Raises:
            RefusedError: if it is for too long, or nothing will help.
        """
        started = time.monotonic()
        patience = float(os.environ.get(PATIENCE_VARIABLE) or _DEFAULT_PATIENCE_SECONDS)
        while True:
            try:
                call()
                return
            except (RefusedError, *_PASSING) as error:
                said = hide_secrets(str(error))
                if time.monotonic() - started >= patience:
                    raise _refuse(str(self.address), error, said) from None
                _LOGGER.warning("the metadata store is in trouble (%s); trying again", said)
                time.sleep(min(_PAUSE_SECONDS, patience))
            except errors.StatusError as error:
                raise _refuse(str(self.address), error, hide_secrets(str(error))) from None

    def _try(self, call: Callable[[], None], consequence: str) -> None:
        """Insists, and leaves it at a warning: no record is worth more than what a step made."""
        try:
            self._insist(call)
        except Exception as error:
            _LOGGER.warning("%s: %s", consequence, hide_secrets(str(error)))
        self._open.close()


def _refuse(address: str, error: Exception, said: str) -> RefusedError:
    if isinstance(error, RefusedError):
        return error
    remedy = "Mend it, and start the run again: steps that were done are taken from the cache"
    return RefusedError([Problem(address, f"does not work ({said})", remedy, "store_trouble")])


def _read_configuration(
    step: StepArguments, properties: Mapping[str, Any], recorded: str | None
) -> str | None:
    """Returns the whole configuration with the overrides that this step knows; None where nobody has it."""
    compiled = properties.get("pipeline_config") or recorded or step.configuration
    if not isinstance(compiled, str):
        return None
    try:
        merged: str = merge_overrides({"pipeline_config": compiled}, step.overrides)["pipeline_config"]
    except RefusedError:
        return compiled  # The step itself is refused for it.
    return merged


def _derive_run_id(invocation: Invocation, pipeline_name: str) -> str:
    """Returns the run's id out of its place in the object store: ``.../<pipeline>/<run>/<task>/...``.

    Raises:
        RefusedError: if there is none.
    """
    outputs: ArtifactDict = invocation.with_uris(invocation.outputs)
    for artifact in (one for found in outputs.values() for one in found):
        parts = artifact.uri.split("/")
        if pipeline_name in parts[:-2]:
            return str(parts[parts.index(pipeline_name) + 1])
    what, remedy = "does not tell the run's id", f"Set {RUN_VARIABLE}, as a compiled pipeline does"
    raise RefusedError([Problem("the step's command line", what, remedy, "no_run_id")])
