"""The command line. Each command imports what it needs when it runs, so that --help is quick."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import typer

from data.cpu_kernels import prefer_onednn
from data.errors import RefusedError
from data.visible_text import make_visible
from pipeline.cluster.kubeflow_command import app as kubeflow_app

EXIT_REFUSED = 2

app = typer.Typer(
    name="deconvflow",
    help="From a folder of images and masks to a pushed segmentation model.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(kubeflow_app)

WorkspaceOption = Annotated[
    Path,
    typer.Option(
        "--workspace", "-w", envvar="DECONVFLOW_WORKSPACE", help="Folder of metadata, models and reports."
    ),
]
StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        envvar="DECONVFLOW_METADATA_STORE",
        help="Address of the metadata store, where it is not the workspace's own: sqlite:///file, "
        "mysql://user@host/database, postgresql://user@host/database or grpc://host:port.",
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")
]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="YAML configuration; `deconvflow init` writes one.")
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="Override a key: trainer.epochs=20. May be given again.")
]


@app.command()
def run(
    config: ConfigOption = None,
    preset: Annotated[
        str, typer.Option(help="Configuration that comes with deconvflow, without --config.")
    ] = "digits",
    override: SetOption = None,
    workspace: WorkspaceOption = Path("workspace"),
    store: StoreOption = None,
    beam: Annotated[
        list[str] | None,
        typer.Option("--beam", help="An argument of Beam, e.g. --beam=--direct_num_workers=2."),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Where another run holds the workspace: wait, or refuse.")
    ] = True,
    as_json: JsonOption = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show what the libraries log, too.")
    ] = False,
) -> None:
    """Run the pipeline: ingest, validate, train, evaluate and push what has earned it.

    Without --config, the embedded sample (scenes of handwritten digits) is used.
    Exit status: 0 pushed, 3 evaluated but not blessed, 2 refused, 1 a component failed.
    """
    from pipeline.run_command import run_and_report
    from pipeline.workspace import Workspace

    place = Workspace(workspace, store)
    raise typer.Exit(
        run_and_report(config, preset, override or [], place, beam or [], as_json, verbose, wait)
    )


@app.command()
def check(
    data: Annotated[
        str | None, typer.Argument(help="Folder of a data set; its layout is recognised.")
    ] = None,
    config: ConfigOption = None,
    override: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find every problem of a data set, without training.

    Exit status: 0 nothing wrong, 2 problems found.
    """
    from pipeline.check_command import run_check, run_check_of_config
    from pipeline.config import load_config

    if config is not None and data is None:
        raise typer.Exit(run_check_of_config(load_config(config, override or []), as_json))
    if data is None or config is not None:
        raise typer.BadParameter("give either the folder of a data set, or --config")
    raise typer.Exit(run_check(data, as_json))


@app.command()
def init(
    data: Annotated[str, typer.Argument(help="Folder of a data set.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The YAML file to write.")] = Path(
        "deconvflow.yaml"
    ),
    force: Annotated[bool, typer.Option(help="Overwrite the file.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Look at a data set and write a commented configuration that runs."""
    from pipeline.init_command import run_init

    raise typer.Exit(run_init(data, out, force, as_json))


@app.command()
def runs(
    workspace: WorkspaceOption = Path("workspace"),
    store: StoreOption = None,
    pipeline: Annotated[str | None, typer.Option(help="Only the runs of this pipeline.")] = None,
    status: Annotated[
        list[str] | None,
        typer.Option(
            help="Only runs that were running, pushed, not-blessed, refused, failed or interrupted."
        ),
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Only runs since a date, a time, or a while ago: 2026-03-31, 12h, 7d.")
    ] = None,
    blessed: Annotated[
        bool | None, typer.Option("--blessed/--not-blessed", help="Only runs whose model was, or was not.")
    ] = None,
    sort: Annotated[
        str,
        typer.Option(
            help="started, duration, pipeline, status, version, or a metric such as mean_iou: best first."
        ),
    ] = "started",
    split: Annotated[str | None, typer.Option(help="Whose metrics; else those that the gates judge.")] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit",
            "-n",
            min=1,
            help="At most so many: the newest, or the first of another order. A table has 50 unless told.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List the runs of a workspace: state, what was different from the run before, metrics and push."""
    from pipeline.runs_command import RunsQuery, print_runs
    from pipeline.workspace import Workspace

    query = RunsQuery(pipeline, tuple(status or ()), since, blessed, sort, split, limit)
    raise typer.Exit(print_runs(Workspace(workspace, store), as_json, query))


RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, its beginning, or latest.")]


@app.command()
def show(
    run: RunArgument = "latest",
    component: Annotated[
        str | None, typer.Option(help="Only this component, with all its parameters in full.")
    ] = None,
    workspace: WorkspaceOption = Path("workspace"),
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Explain one run: components, inputs and outputs, metrics, gates, what the data gate saw, errors."""
    from pipeline.show_command import print_run
    from pipeline.workspace import Workspace

    raise typer.Exit(print_run(Workspace(workspace, store), run, component, as_json))


@app.command()
def compare(
    runs: Annotated[
        list[str], typer.Argument(metavar="A B [C ...]", help="Runs: ids, their beginnings, or latest.")
    ],
    workspace: WorkspaceOption = Path("workspace"),
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what differs between runs: configuration, code, data and environment, and what came of it."""
    from pipeline.compare_command import print_comparison
    from pipeline.workspace import Workspace

    raise typer.Exit(print_comparison(Workspace(workspace, store), runs, as_json))


@app.command()
def lineage(
    subject: Annotated[
        str,
        typer.Argument(
            metavar="MODEL|RUN|IMAGE",
            help="A pushed model (path, NAME/VERSION or version), a run (id, its beginning, latest), "
            "or an image (id or path).",
        ),
    ],
    kind: Annotated[
        Literal["model", "run", "image"] | None,
        typer.Option("--as", help="What the argument is, where it could be several things."),
    ] = None,
    pipeline: Annotated[
        str | None, typer.Option(help="Of an image: look at the runs of this pipeline only.")
    ] = None,
    svg: Annotated[Path | None, typer.Option(help="Write a picture here, as SVG.")] = None,
    dot: Annotated[Path | None, typer.Option(help="Write a picture here, in Graphviz' language.")] = None,
    all_images: Annotated[bool, typer.Option("--all-images", help="Name every source image.")] = False,
    workspace: WorkspaceOption = Path("workspace"),
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Trace a model or run back to its source images, or an image forward to its runs and models."""
    from pipeline.lineage_command import LineageQuery, print_lineage
    from pipeline.workspace import Workspace

    query = LineageQuery(subject, kind, pipeline, svg, dot, all_images)
    raise typer.Exit(print_lineage(Workspace(workspace, store), query, as_json))


@app.command()
def report(
    run: RunArgument = "latest",
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The HTML file to write; else one in the workspace's reports."),
    ] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Show it in the browser.")] = False,
    workspace: WorkspaceOption = Path("workspace"),
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make the page that explains a run, again: one HTML file that needs no network.

    A run that failed or was refused has a page, too. What was deleted since is said to be missing.
    """
    from pipeline.report_command import print_report
    from pipeline.workspace import Workspace

    raise typer.Exit(print_report(Workspace(workspace, store), run, out, open_page, as_json))


@app.command()
def ui(
    workspace: WorkspaceOption = Path("workspace"),
    store: StoreOption = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes any that is free.")
    ] = 8765,
) -> None:
    """Show the workspace's runs as web pages on this machine, for those who would rather look than read.

    The pages change nothing and are served to this machine only. Ctrl-C ends it.
    """
    from pipeline.ui.serve import serve_pages
    from pipeline.workspace import Workspace

    raise typer.Exit(serve_pages(Workspace(workspace, store), port))


@app.command()
def predict(
    images: Annotated[
        list[str],
        typer.Argument(metavar="IMAGES...", help="Files, folders with all below them, or patterns."),
    ],
    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            help="A pipeline's name (its newest version), NAME/VERSION, a version, or the path of one.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the masks and predictions.jsonl.")],
    colours: Annotated[
        bool, typer.Option("--colours", help="Masks in the classes' colours instead of their ids.")
    ] = False,
    overlay: Annotated[
        bool, typer.Option("--overlay", help="Also write each image blended with the classes' colours.")
    ] = False,
    tile: Annotated[
        str,
        typer.Option(
            help="auto: tiles where the working size is too large for one piece; off; or a tile's side in "
            "pixels of the working size."
        ),
    ] = "auto",
    flip: Annotated[
        bool | None,
        typer.Option("--flip/--no-flip", help="Average with the mirrored image. Else as the model has it."),
    ] = None,
    scales: Annotated[
        str | None,
        typer.Option(help="Average over scales of the image, e.g. 0.75,1,1.25. Else as the model has it."),
    ] = None,
    window: Annotated[
        str | None,
        typer.Option(
            metavar="HEIGHTxWIDTH",
            help="Overlapping windows, which see large images at their own size; or off. Else as the model "
            "has it.",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace outputs that are there already.")] = False,
    workspace: WorkspaceOption = Path("workspace"),
    as_json: JsonOption = False,
) -> None:
    """Segment images with a pushed model: a mask an image, and a line of JSON in predictions.jsonl.

    Exit status: 0 all done, 1 some images could not be predicted (the others were), 2 refused.
    """
    from pipeline.choose_inference import InferenceOptions
    from pipeline.predict_command import PredictQuery, print_predictions
    from pipeline.workspace import Workspace

    inference = InferenceOptions(flip, scales, window)
    query = PredictQuery(model, tuple(images), out, colours, overlay, tile, force, inference)
    raise typer.Exit(print_predictions(Workspace(workspace), query, as_json))


@app.command()
def tensorboard(
    run: Annotated[
        str | None,
        typer.Option(help="Only this run: an id, its beginning, or latest. Else all that trained."),
    ] = None,
    workspace: WorkspaceOption = Path("workspace"),
    store: StoreOption = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes any that is free. Else 6006 or so."),
    ] = None,
) -> None:
    """Open the workspace's trainings in TensorBoard: curves, learning rate, and pictures of predictions.

    Runs that begin to train meanwhile appear. Served to this machine only. Ctrl-C ends it.
    """
    from pipeline.tensorboard_command import serve_tensorboard
    from pipeline.workspace import Workspace

    raise typer.Exit(serve_tensorboard(Workspace(workspace, store), port, run))


@app.command()
def schema(
    command: Annotated[
        str, typer.Argument(metavar="COMMAND", help="Any that takes --json; or refusal, what all print then.")
    ],
) -> None:
    """Print the JSON Schema of what a command prints with --json."""
    from pipeline.schemas import DOCUMENTS, schema_of

    if command not in DOCUMENTS:
        raise typer.BadParameter(f"take one of: {', '.join(DOCUMENTS)}")
    print(json.dumps(schema_of(command), indent=2))


def main() -> None:
    """Entry point of the ``deconvflow`` command."""
    prefer_onednn()
    sys.exit(run_app(lambda: app(standalone_mode=True)))


def run_app(call: Callable[[], object]) -> int:
    """Runs a command; a refusal becomes sentences on stderr and exit status 2, never a traceback."""
    try:
        call()
    except RefusedError as error:
        return report_refusal(error, as_json="--json" in sys.argv)
    except KeyboardInterrupt:
        print("interrupted; a run goes on from there when it is started again", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 141
    except Exception as error:
        from pipeline.explain_fault import explain_fault

        problem = explain_fault(error, [], "the metadata store")
        if problem is None:
            raise
        return report_refusal(RefusedError([problem]), as_json="--json" in sys.argv)
    return 0


def report_refusal(error: RefusedError, as_json: bool) -> int:
    """Prints each problem as a sentence on stderr, and with ``as_json`` a document on stdout."""
    for problem in error.problems:
        print(make_visible(problem.sentence(), one_line=True), file=sys.stderr)
    if as_json:
        from pipeline.command_documents import RefusalDocument

        problems = tuple({**vars(one), "sentence": one.sentence()} for one in error.problems)
        print(RefusalDocument.model_validate({"problems": problems}).model_dump_json())
    return EXIT_REFUSED
