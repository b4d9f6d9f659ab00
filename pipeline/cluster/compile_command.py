"""``deconvflow kubeflow compile`` and ``lint``: read, call, write and print."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.errors import Problem, RefusedError
from data.replace_file import replace_file
from pipeline import console
from pipeline.cluster.check_places import check_places, list_steps
from pipeline.cluster.compile_documents import CompileDocument, LintDocument, ParameterDocument
from pipeline.cluster.load_messages import load_pipeline_messages
from pipeline.config import PipelineConfig, load_config, preset_path
from pipeline.lean_imports import lean_imports

if TYPE_CHECKING:
    from pipeline.cluster.compile_spec import CompiledPipeline

EXIT_DONE, EXIT_REFUSED = 0, 2


def run_compile(
    config_path: Path | None, preset: str, overrides: Sequence[str], out: Path, as_json: bool
) -> int:
    """Compiles a configuration, holds it against the backend's rules and writes the file.

    Raises:
        RefusedError: if the configuration is refused, or the file cannot be written.
    """
    config = load_config(config_path or preset_path(preset), overrides)
    check_places(config)
    if not out.parent.is_dir():
        what = f"cannot be written: there is no folder {out.parent}"
        raise RefusedError([Problem(str(out), what, "Make the folder, or name another")])
    compiled = compile_and_lint(config)
    content = compiled.to_yaml().encode()
    _write(out, content)
    document = _describe(config, compiled, out, hashlib.sha256(content).hexdigest())
    if as_json:
        print(document.model_dump_json())
    else:
        _print(document)
    return EXIT_DONE


def compile_and_lint(config: PipelineConfig) -> CompiledPipeline:
    """Compiles a configuration.

    Raises:
        RefusedError: if the configuration, or what comes of it, would not run.
    """
    with tempfile.TemporaryDirectory() as folder, console.quiet(Path(folder) / "log", verbose=False):
        load_pipeline_messages()
        with lean_imports():
            from pipeline.cluster.compile_spec import compile_pipeline
        from pipeline.cluster.lint_spec import lint_documents

        compiled = compile_pipeline(config)
        if problems := lint_documents([compiled.spec, compiled.platforms]):
            raise RefusedError(problems)
    return compiled


def run_lint(path: Path, as_json: bool) -> int:
    """Prints what a backend would refuse of a file.

    Returns:
        The exit status: 0 if that is nothing, else 2.

    Raises:
        RefusedError: if the file cannot be read, or is no YAML.
    """
    from pipeline.cluster.lint_spec import lint_documents, read_documents

    documents = read_documents(path)
    problems = lint_documents(documents)
    if as_json:
        print(_lint_document(path, documents, problems).model_dump_json())
    for problem in problems:
        console.messages.print(f"{path}: {problem.sentence()}", markup=False, soft_wrap=True)
    if not problems and not as_json:
        console.answers.print(
            f"{path}: {_count_tasks(documents)} tasks, nothing that the backend would refuse",
            markup=False,
            soft_wrap=True,
        )
    return EXIT_REFUSED if problems else EXIT_DONE


def _lint_document(path: Path, documents: list[Any], problems: Sequence[Problem]) -> LintDocument:
    listed = [{**vars(problem), "sentence": problem.sentence()} for problem in problems]
    tasks = _count_tasks(documents)
    return LintDocument.model_validate(
        {"file": str(path), "ok": not problems, "tasks": tasks, "problems": tuple(listed)}
    )


def _count_tasks(documents: list[Any]) -> int:
    tree: Any = documents[0] if documents else {}
    for key in ("root", "dag", "tasks"):
        tree = tree.get(key, {}) if isinstance(tree, dict) else {}
    return len(tree) if isinstance(tree, dict) else 0


def _write(path: Path, content: bytes) -> None:
    try:
        replace_file(path, content)
    except OSError as error:
        what = f"cannot be written: {error.strerror}"
        raise RefusedError([Problem(str(path), what, "Name another file with -o")]) from None


def _describe(config: PipelineConfig, compiled: CompiledPipeline, out: Path, digest: str) -> CompileDocument:
    return CompileDocument(
        pipeline=config.name,
        file=str(out),
        sha256=digest,
        image=config.kubeflow.image,
        pipeline_root=config.kubeflow.pipeline_root,
        steps=list_steps(config),
        parameters=tuple(ParameterDocument(**vars(one)) for one in compiled.parameters),
        notes=tuple(_write_notes(config)),
    )


def _write_notes(config: PipelineConfig) -> Iterator[str]:
    if config.metadata.store is None:
        yield "no metadata.store is set: runs on the cluster will not be in `deconvflow runs`"
    trainer = config.kubeflow.step("Trainer")
    kept = any(
        volume.claim and config.kubeflow.checkpoint_root.startswith(volume.mount_path)
        for volume in trainer.volumes
    )
    if trainer.retries and not kept and "://" not in config.kubeflow.checkpoint_root:
        yield "kubeflow.checkpoint_root is on no volume with a claim: a retried Trainer starts anew"
    if trainer.accelerator is not None and trainer.accelerator.count > 1 and trainer.shared_memory is None:
        yield "kubeflow.components.Trainer.shared_memory is not set: NCCL may run out of /dev/shm"


def _print(document: CompileDocument) -> None:
    lines = [
        f"{document.file}: pipeline {document.pipeline}, {len(document.steps)} steps of {document.image}",
        f"artifacts below {document.pipeline_root}",
        "inputs of a run, and their defaults:",
        *(f"  {one.name} = {one.default!r}  ({one.key})" for one in document.parameters),
        *(f"note: {note}" for note in document.notes),
    ]
    for line in lines:
        console.answers.print(line, markup=False, highlight=False, soft_wrap=True)
