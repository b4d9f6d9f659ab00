"""From an image forward: which runs had it in their data, and which models were trained on it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as pb

from data.errors import Problem, RefusedError
from pipeline import tracking
from pipeline.history.find_models import PUSHED_TYPE, get_artifacts_by_type, read_pushed, resolve_path
from pipeline.history.lineage_documents import (
    LineageDocument,
    LineageEdge,
    LineageNode,
    Sighting,
    SourceImage,
)
from pipeline.history.read_files import FileReader
from pipeline.history.trace_ancestors import SNAPSHOT_TYPE
from pipeline.tracking import RunRecord

MODEL_TYPE = "Model"


@dataclass(frozen=True)
class _Snapshot:
    """A snapshot in which the image is, with its rows."""

    artifact: pb.Artifact
    rows: tuple[SourceImage, ...]


def trace_image(
    store: MetadataStore, records: Sequence[RunRecord], text: str, pipeline: str | None = None
) -> LineageDocument:
    """Returns every run that had an image in its data, and the models that came out.

    The same bytes under another id are the same image, so they are looked for as well.

    Args:
        store: of the workspace.
        records: all runs.
        text: an image's id, or the path of an image or mask.
        pipeline: look at the runs of this pipeline only.

    Raises:
        RefusedError: if no snapshot has such an image.
    """
    files = FileReader()
    snapshots = list(_find_snapshots(store, text, files))
    by_id = {record.run_id: record for record in records}
    sightings = []
    for snapshot in snapshots:
        for context in store.get_contexts_by_artifact(snapshot.artifact.id):
            record = by_id.get(context.name) if context.type == tracking.RUN_CONTEXT_TYPE else None
            if record is not None and pipeline in (None, record.pipeline):
                artifacts = store.get_artifacts_by_context(context.id)
                sightings += [_describe(record, row, artifacts) for row in snapshot.rows]
    sightings.sort(key=lambda one: (one.started, one.run_id, one.image_id))
    ids = sorted({one.image_id for one in sightings})
    if len(ids) > 1:
        files.note(f"The same image is there under {len(ids)} ids: {', '.join(ids)}.")
    contents = {one.image_sha256 for one in sightings if one.image_id == text}
    if len(contents) > 1:
        files.note(f"{len(contents)} different images have had the id {text}; image_sha256 tells them apart.")
    return _to_document(text, sightings, files.notes)


def _find_snapshots(store: MetadataStore, text: str, files: FileReader) -> Iterator[_Snapshot]:
    """Yields the snapshots that have the image; each content is read once."""
    artifacts = get_artifacts_by_type(store, SNAPSHOT_TYPE)
    contents: dict[str, dict[str, SourceImage]] = {}
    reader = FileReader()
    for artifact in artifacts:
        key = _content_of(artifact)
        if key not in contents and (images := reader.read_snapshot(artifact)) is not None:
            contents[key] = images
    unread = [artifact for artifact in artifacts if _content_of(artifact) not in contents]
    if unread:
        files.note(
            f"{len(unread)} of {len(artifacts)} snapshots cannot be read, so whether their runs had the "
            f"image is unknown. The first: {reader.notes[0]}"
        )
    named = [image for images in contents.values() for image in _match(images, text)]
    if not named:
        known = {image_id for images in contents.values() for image_id in images}
        raise _refuse_unknown(text, known, files.notes)
    digests = {image.image_sha256 for image in named}
    for artifact in artifacts:
        images = contents.get(_content_of(artifact), {})
        rows = tuple(row for row in images.values() if row.id == text or row.image_sha256 in digests)
        if rows:
            yield _Snapshot(artifact, rows)


def _content_of(artifact: pb.Artifact) -> str:
    return str(artifact.properties["fingerprint"].string_value) or f"artifact {artifact.id}"


def _match(images: Mapping[str, SourceImage], text: str) -> list[SourceImage]:
    if text in images:
        return [images[text]]
    paths = {text, resolve_path(text)}
    return [image for image in images.values() if paths & {image.image_path, image.mask_path}]


def _refuse_unknown(text: str, known: Iterable[str], notes: Sequence[str]) -> RefusedError:
    ids = sorted(known)
    same_name = [
        image_id for image_id in ids if Path(image_id).name == Path(text).stem or image_id.endswith(text)
    ]
    close = same_name or difflib.get_close_matches(text, ids, n=3)
    what = "is no pushed model, no run, and no image in the data of any run"
    remedy = f"Did you mean {' or '.join(close[:3])}?" if close else "`deconvflow runs` lists the runs"
    return RefusedError([Problem(text, ". ".join([what, *notes]), remedy, "no_subject")])


def _describe(record: RunRecord, row: SourceImage, artifacts: Sequence[pb.Artifact]) -> Sighting:
    models = [artifact for artifact in artifacts if artifact.type == MODEL_TYPE]
    pushed = [one for a in artifacts if a.type == PUSHED_TYPE and (one := read_pushed(a)) is not None]
    return Sighting(
        image_id=row.id,
        run_id=record.run_id,
        pipeline=record.pipeline,
        started=record.started,
        status=record.status,
        split=row.split,
        image_path=row.image_path,
        image_sha256=row.image_sha256,
        mask_sha256=row.mask_sha256,
        trained=row.split == "train" and bool(models),
        model_uri=models[0].uri if models else None,
        pushed=pushed[0].label if pushed else None,
        served=bool(pushed and pushed[0].is_served),
    )


def _to_document(text: str, sightings: Sequence[Sighting], notes: Sequence[str]) -> LineageDocument:
    subject = LineageNode(id=f"image:{text}", kind="image", label=text)
    nodes = {subject.id: subject}
    edges: dict[tuple[str, str], LineageEdge] = {}
    for one in sightings:
        run = LineageNode(
            id=f"run:{one.run_id}",
            kind="run",
            label=one.run_id,
            properties={"pipeline": one.pipeline, "status": one.status, "started": one.started},
        )
        nodes.setdefault(run.id, run)
        edges.setdefault((subject.id, run.id), LineageEdge(source=subject.id, target=run.id, role=one.split))
        if one.pushed is not None:
            model = LineageNode(
                id=f"model:{one.pushed}", kind="model", label=one.pushed, properties={"exists": one.served}
            )
            nodes.setdefault(model.id, model)
            edges.setdefault((run.id, model.id), LineageEdge(source=run.id, target=model.id, role="pushed"))
    return LineageDocument(
        kind="image",
        subject=subject.id,
        nodes=tuple(nodes.values()),
        edges=tuple(edges.values()),
        images=(),
        sightings=tuple(sightings),
        notes=tuple(notes),
    )
