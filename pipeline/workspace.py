"""Where a workspace keeps what (DESIGN: workspace contract)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Workspace:
    """Paths below one folder; nothing is made until something is written."""

    root: Path
    store: str | None = None
    """The address of the metadata store that --store names; ``store_address.find_store`` knows the others."""
    push_root: str | None = None
    """Where models are pushed, if not to ``own_serving``: ``push.root`` of a configuration."""

    @property
    def metadata_db(self) -> Path:
        """The sqlite file of ML Metadata, unless the store is elsewhere."""
        return self.root / "metadata.sqlite"

    @property
    def store_file(self) -> Path:
        """The address of the store of the last run, where it is not ``metadata_db``."""
        return self.root / "store"

    @property
    def lock_file(self) -> Path:
        """Locked by the run that works in the workspace."""
        return self.root / "run.lock"

    @property
    def samples(self) -> Path:
        """Where the embedded sample is written as ordinary files."""
        return self.root / "samples"

    def pipeline_root(self, name: str) -> Path:
        """TFX's root: a folder a component."""
        return self.root / "pipelines" / name

    def schema_folder(self, name: str) -> Path:
        """Curated schemas, named by their content."""
        return self.root / "schemas" / name

    def checkpoints(self, name: str) -> Path:
        """Training checkpoints, in a folder for each thing that is trained."""
        return self.root / "checkpoints" / name

    @property
    def push_root_file(self) -> Path:
        """The ``push.root`` of the last run, where it had one."""
        return self.root / "push_root"

    def serving(self, name: str) -> Path | str:
        """Pushed versions: a folder a version."""
        if self.push_root is None:
            return self.own_serving(name)
        return f"{self.push_root.rstrip('/')}/{name}"

    def own_serving(self, name: str) -> Path:
        """Pushed versions in this workspace."""
        return self.root / "serving" / name

    def fetched(self, name: str) -> Path:
        """Copies of pushed versions from object stores."""
        return self.root / "fetched" / name

    def gate_reports(self, name: str) -> Path:
        """What the data gate saw when it stopped a run."""
        return self.root / "gate" / name

    def report(self, run_id: str) -> Path:
        """The folder of a run's report."""
        return self.root / "reports" / run_id

    def log_file(self, run_id: str) -> Path:
        """All that libraries logged in a run."""
        return self.root / "logs" / f"{run_id}.log"
