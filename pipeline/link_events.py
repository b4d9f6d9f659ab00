"""Where the workspace's trainings write TensorBoard's events, by the ids of their runs.

TFX's folders are named by numbers deep down. TensorBoard shows names of folders; so each run gets a link
by its own name in a folder made for the purpose.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as pb

from pipeline import tracking
from pipeline.history.find_models import get_artifacts_by_type
from pipeline.history.read_executions import OUTPUT_EVENTS
from pipeline.tracking import RunRecord
from pipeline.workspace import Workspace

_EVENT_FILES = "events.out.tfevents.*"
_MODEL_RUN, _TRAINER, _MODEL_RUN_KEY = "ModelRun", "Trainer", "model_run"


class EventLinks:
    """Links to the event folders of a workspace's runs.

    Args:
        workspace: where TFX keeps its folders.
        store: its metadata store.
        folder: of the links.
        run_id: link this run only, if given.
    """

    def __init__(
        self, workspace: Workspace, store: MetadataStore, folder: Path, run_id: str | None = None
    ) -> None:
        self._workspace, self._store, self._folder, self._run_id = workspace, store, folder, run_id
        self._settled: set[str] = set()

    @property
    def count(self) -> int:
        """How many runs are linked."""
        return sum(1 for _ in self._folder.iterdir())

    def refresh(self) -> None:
        """Links the runs that have begun to train since the last time."""
        runs = [run for run in tracking.list_runs(self._store) if run.run_id not in self._settled]
        if self._run_id is not None:
            runs = [run for run in runs if run.run_id == self._run_id]
        if not runs:
            return
        outputs = _read_outputs(self._store)
        for run in runs:
            folder = self._find_folder(run, outputs)
            link = self._folder / run.run_id
            if folder is not None and not link.is_symlink():
                link.symlink_to(folder.resolve(), target_is_directory=True)
            if folder is not None or run.status != "running":
                self._settled.add(run.run_id)

    def _find_folder(self, run: RunRecord, outputs: dict[int, str]) -> Path | None:
        """Returns the folder with the events of a run.

        A run that took its training from the cache has none of its own; asked for by name it is shown
        with those of the run that trained.
        """
        for execution in self._store.get_executions_by_context(run.context_id):
            is_cached = execution.last_known_state == pb.Execution.CACHED
            if not _is_trainer(execution) or (is_cached and self._run_id is None):
                continue
            # MLMD learns of the folder when the training is over; TFX makes it before, by this rule.
            usual = (
                self._workspace.pipeline_root(run.pipeline) / _TRAINER / _MODEL_RUN_KEY / str(execution.id)
            )
            for folder in (usual, Path(outputs.get(execution.id, usual))):
                if any(folder.glob(_EVENT_FILES)):
                    return folder
        return None


def _read_outputs(store: MetadataStore) -> dict[int, str]:
    """Returns the folder that each finished training wrote, or took from the cache, by its execution's id."""
    uris = {artifact.id: str(artifact.uri) for artifact in get_artifacts_by_type(store, _MODEL_RUN)}
    events: Sequence[pb.Event] = store.get_events_by_artifact_ids(sorted(uris)) if uris else ()
    return {event.execution_id: uris[event.artifact_id] for event in events if event.type in OUTPUT_EVENTS}


def _is_trainer(execution: pb.Execution) -> bool:
    return bool(execution.type.rsplit(".", 1)[-1] == _TRAINER)
