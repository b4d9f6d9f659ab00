"""What differs between the data of two runs, image by image, from their snapshots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ml_metadata.proto import metadata_store_pb2 as pb

from pipeline.history.comparison_documents import DataDifference, ImageChange
from pipeline.history.lineage_documents import SourceImage
from pipeline.history.read_executions import ComponentExecution, find_output
from pipeline.history.read_files import FileReader
from pipeline.tracking import RunRecord


def compare_data(
    runs: Sequence[RunRecord], executions: Mapping[str, Sequence[ComponentExecution]], files: FileReader
) -> list[DataDifference]:
    """Returns what differs between each run's data and that of the first run."""
    snapshots = {
        run.run_id: find_output(executions[run.run_id], "DatasetSnapshot", "snapshot") for run in runs
    }
    for run in runs:
        if snapshots[run.run_id] is None:
            files.note(f"Run {run.run_id} has no snapshot of its data: it ended before there was one.")
    first, *others = runs
    reference = snapshots[first.run_id]
    return [_compare(reference, snapshots[run.run_id], run.run_id, files) for run in others]


def compare_images(
    before: Mapping[str, SourceImage], after: Mapping[str, SourceImage], run_id: str
) -> DataDifference:
    """Compares two snapshots.

    An image that was moved to another split and changed as well is named under each.

    Args:
        before: images of the reference by id.
        after: images of the run by id.
        run_id: of the run.
    """
    common = [(before[image_id], after[image_id]) for image_id in sorted(before.keys() & after.keys())]
    difference = DataDifference(
        run_id=run_id,
        same=None,
        added=tuple(_name(after[image_id]) for image_id in sorted(after.keys() - before.keys())),
        removed=tuple(_name(before[image_id]) for image_id in sorted(before.keys() - after.keys())),
        changed_image=tuple(_name(new) for old, new in common if old.image_sha256 != new.image_sha256),
        changed_mask=tuple(
            _name(new, is_mask=True) for old, new in common if old.mask_sha256 != new.mask_sha256
        ),
        moved=tuple(_name(new, old.split) for old, new in common if old.split != new.split),
    )
    kinds = ("added", "removed", "changed_image", "changed_mask", "moved")
    return difference.model_copy(update={"same": not any(getattr(difference, kind) for kind in kinds)})


def _compare(
    reference: pb.Artifact | None, snapshot: pb.Artifact | None, run_id: str, files: FileReader
) -> DataDifference:
    if reference is None or snapshot is None:
        return DataDifference(run_id=run_id, same=None)
    same = _fingerprint(reference) == _fingerprint(snapshot)
    if same:
        return DataDifference(run_id=run_id, same=True)
    before, after = files.read_snapshot(reference), files.read_snapshot(snapshot)
    if before is None or after is None:
        return DataDifference(run_id=run_id, same=False)
    difference = compare_images(before, after, run_id)
    if difference.same:
        files.note(
            f"The images and masks of run {run_id} are those of the first run; what differs are the "
            "images' attributes, or what is wrong with the layout of the data set."
        )
    return difference.model_copy(update={"same": False})


def _fingerprint(snapshot: pb.Artifact) -> str:
    return str(snapshot.properties["fingerprint"].string_value) or f"artifact {snapshot.id}"


def _name(image: SourceImage, from_split: str | None = None, is_mask: bool = False) -> ImageChange:
    path = image.mask_path if is_mask else image.image_path
    return ImageChange(id=image.id, split=image.split, path=path, from_split=from_split)
