"""``deconvflow kubeflow``: the commands around a cluster. Each imports what it needs when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cluster.client_commands import add_client_commands

app = typer.Typer(
    name="kubeflow",
    help="Run the pipeline on open-source Kubeflow Pipelines.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="YAML configuration; `deconvflow init` writes one.")
]
PresetOption = Annotated[
    str, typer.Option(help="Configuration that comes with deconvflow, without --config.")
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="Override a key: kubeflow.image=... May be given again.")
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")
]


@app.command("compile")
def compile_command(
    config: ConfigOption = None,
    preset: PresetOption = "digits",
    override: SetOption = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="The YAML file to write.")] = Path("pipeline.yaml"),
    as_json: JsonOption = False,
) -> None:
    """Compile a configuration to a file that Kubeflow Pipelines 2.x takes.

    The file holds the pipeline's specification and what its steps ask of Kubernetes. The same
    configuration gives the same bytes.
    """
    from pipeline.cluster.compile_command import run_compile

    raise typer.Exit(run_compile(config, preset, override or [], out, as_json))


@app.command("lint")
def lint_command(
    file: Annotated[Path, typer.Argument(metavar="PIPELINE.yaml", help="A compiled pipeline.")],
    as_json: JsonOption = False,
) -> None:
    """Find what an open-source backend would refuse in a compiled pipeline, ours or another's.

    Exit status: 0 nothing, 2 problems found.
    """
    from pipeline.cluster.compile_command import run_lint

    raise typer.Exit(run_lint(file, as_json))


add_client_commands(app)
