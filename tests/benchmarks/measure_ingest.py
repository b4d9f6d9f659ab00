"""Ingest against a bare loop that reads, hashes, decodes and writes the same files."""

from __future__ import annotations

import csv
import itertools
import os
import shutil
import statistics
from pathlib import Path

import bare_work
from dag_nodes import DagNodes
from harness import Job, Row, alternate, compare_at_least, run_measurement, time_call
from prepare import digits_config

from data.list_dataset import list_dataset
from data.take_snapshot import fingerprint_dataset
from pipeline.config import PipelineConfig, load_config, with_data_root

REPOSITORY = Path(__file__).resolve().parents[2]
_TARGET = 0.6
_SMALL_SHARE = 0.2
_CAMVID = """
name: camvid
transform: {{height_px: 360, width_px: 480}}
data:
  root: /nowhere
  layout: camvid
  void_values: [11]
  classes:
{classes}
"""


class _DataSet:
    """A data set whose ingest is timed."""

    def __init__(self, config: PipelineConfig, scratch: Path) -> None:
        self._config = config
        self._nodes = DagNodes(config, scratch / "workspace")
        self._fingerprint = fingerprint_dataset(config.data)
        self._folders = (scratch / str(number) for number in itertools.count())
        self.files = [(pair.image_path, pair.mask_path) for pair in list_dataset(config.data).pairs]

    def time_ingest(self) -> float:
        """Returns the seconds of the whole component, from listing to the artifact's properties."""
        folder = next(self._folders)
        seconds = time_call(lambda: self._nodes.ingest(folder, self._fingerprint))
        shutil.rmtree(folder)
        return seconds


def measure(job: Job) -> list[Row]:
    """Measures the sample, and CamVid where it is."""
    rows = _measure_data_set(job, digits_config(job), "digits")
    camvid = Path(os.environ.get("DECONVFLOW_CAMVID", REPOSITORY.parent / "shared/data/camvid"))
    if not job.quick and (camvid / "train").is_dir():
        rows += _measure_data_set(job, _camvid_config(job, camvid), "CamVid")
    return rows


def _measure_data_set(job: Job, config: PipelineConfig, name: str) -> list[Row]:
    scratch = job.scratch / "ingest" / name
    few_root = copy_share(Path(config.data.root), scratch / "few", _SMALL_SHARE)
    many = _DataSet(config, scratch / "many_ingested")
    few = _DataSet(with_data_root(config, str(few_root)), scratch / "few_ingested")
    more, whole_rates = len(many.files) - len(few.files), []

    def ours() -> float:
        seconds = many.time_ingest()
        whole_rates.append(len(many.files) / seconds)
        return more / (seconds - few.time_ingest())

    def bare() -> float:
        return len(many.files) / time_call(lambda: bare_work.ingest(many.files, scratch / "bare"))

    rates = alternate(ours, bare, job.pairs, f"ingest of {name}")
    whole = statistics.median(whole_rates[1:])
    about = f"from {len(few.files)} to {len(many.files)} images; with start and end {whole:.0f} images/s"
    return [compare_at_least(f"ingest, {name}", "images/s", rates, _TARGET, about)]


def copy_share(root: Path, target: Path, share: float) -> Path:
    """Copies a share of each folder's files, the first by name, and keeps the table's rows of those."""
    kept = set[str]()
    for folder in sorted({path.parent for path in root.rglob("*.*") if path.suffix in (".png", ".jpg")}):
        files = sorted(folder.iterdir(), key=lambda path: path.stem)
        copied = target / folder.relative_to(root)
        copied.mkdir(parents=True)
        for file in files[: max(1, round(share * len(files)))]:
            shutil.copyfile(file, copied / file.name)
            kept.add(file.stem)
    table = root / "attributes.csv"
    if table.exists():
        with table.open(newline="") as source, (target / table.name).open("w", newline="") as stream:
            header, *lines = csv.reader(source)
            csv.writer(stream).writerows([header, *(line for line in lines if Path(line[0]).stem in kept)])
    return target


def _camvid_config(job: Job, root: Path) -> PipelineConfig:
    path = job.scratch / "camvid.yaml"
    classes = "\n".join(f"    - {{id: {i}, name: class {i}}}" for i in range(11))
    path.write_text(_CAMVID.format(classes=classes))
    return with_data_root(load_config(path, []), str(root.resolve()))


if __name__ == "__main__":
    run_measurement(measure)
