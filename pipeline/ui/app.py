"""The routes of the local pages: each as HTML and, with .json, as the document of its command."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from components.report.render_report import content_policy, render_report
from data.errors import Problem, RefusedError
from pipeline.history.comparison_documents import CompareDocument
from pipeline.history.draw_graph import choose_picture
from pipeline.history.draw_svg import draw_layers
from pipeline.history.run_documents import Document
from pipeline.ui import pages
from pipeline.ui.history_reader import HistoryReader, RunsQuery
from pipeline.ui.security import LocalOnly

_REPORT_POLICY = f"{content_policy()}; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
_PICTURE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'"
"""A picture has its own style in it and runs nothing."""
_KINDS = ("model", "run", "image")
_MAX_LENGTH = 4096

Handler = Callable[[Request], Response]


def build_app(reader: HistoryReader, port: int) -> ASGIApp:
    """Returns the application.

    Args:
        reader: answers the queries.
        port: that the server listens on.
    """
    handlers = _Handlers(reader)
    routes = [
        Route(path, _guard(handler), methods=["GET"])
        for path, handler in (
            ("/", handlers.runs),
            ("/runs", handlers.runs),
            ("/runs.json", handlers.runs_json),
            ("/show", handlers.show),
            ("/show.json", handlers.show_json),
            ("/compare", handlers.compare),
            ("/compare.json", handlers.compare_json),
            ("/lineage", handlers.lineage),
            ("/lineage.json", handlers.lineage_json),
            ("/lineage.svg", handlers.lineage_picture),
            ("/report", handlers.report),
            ("/style.css", handlers.style),
        )
    ]
    return LocalOnly(Starlette(routes=routes, exception_handlers={HTTPException: _say_status}), port)


class _Handlers:
    """What each route answers; refusals become pages in ``_guard``."""

    def __init__(self, reader: HistoryReader) -> None:
        self._reader = reader
        self._renderer = pages.Renderer(str(reader.workspace.root))

    def runs(self, request: Request) -> Response:
        query = _read_runs_query(request)
        return HTMLResponse(self._renderer.runs(self._reader.list_runs(query), query))

    def runs_json(self, request: Request) -> Response:
        return _answer_json(self._reader.list_runs(_read_runs_query(request)).document)

    def show(self, request: Request) -> Response:
        return HTMLResponse(self._renderer.show(self._reader.explain(_read(request, "run", "latest"))))

    def show_json(self, request: Request) -> Response:
        return _answer_json(self._reader.explain(_read(request, "run", "latest")))

    def compare(self, request: Request) -> Response:
        return HTMLResponse(self._renderer.compare(self._compare(request)))

    def compare_json(self, request: Request) -> Response:
        return _answer_json(self._compare(request))

    def _compare(self, request: Request) -> CompareDocument:
        return self._reader.compare(_read_all(request, "run"), _read(request, "order") == "started")

    def lineage(self, request: Request) -> Response:
        subject, kind = _read_subject(request)
        document = self._reader.trace(subject, kind) if subject else None
        return HTMLResponse(self._renderer.lineage(document, subject, kind or ""))

    def lineage_json(self, request: Request) -> Response:
        return _answer_json(self._reader.trace(*_read_subject(request)))

    def lineage_picture(self, request: Request) -> Response:
        picture = choose_picture(self._reader.trace(*_read_subject(request)))
        drawn = draw_layers(picture.title, picture.kinds, picture.lines, picture.arrows)
        headers = {"Content-Security-Policy": _PICTURE_POLICY}
        return Response(drawn, media_type="image/svg+xml", headers=headers)

    def report(self, request: Request) -> Response:
        facts = self._reader.collect(_read(request, "run", "latest"))
        return HTMLResponse(render_report(facts), headers={"Content-Security-Policy": _REPORT_POLICY})

    def style(self, request: Request) -> Response:
        return Response(pages.style(), media_type="text/css")


def _guard(handler: Handler) -> Handler:
    """Returns a handler that answers with sentences where ``handler`` raises."""

    def answer(request: Request) -> Response:
        try:
            return handler(request)
        except RefusedError as error:
            return _say(request, error.problems, _status_of(error.problems))
        except Exception as error:
            what = f"cannot be shown: {type(error).__name__}"
            remedy = "See what the command of the same name says, and report it as a fault of deconvflow"
            return _say(request, [Problem("this page", what, remedy, "fault")], 500)

    return answer


def _status_of(problems: Sequence[Problem]) -> int:
    codes = {problem.code for problem in problems}
    if "store_busy" in codes:
        return 503
    return 404 if any(code.startswith("no_") for code in codes) else 400


def _say(request: Request, problems: Sequence[Problem], status: int) -> Response:
    sentences = [problem.sentence() for problem in problems]
    if request.url.path.endswith(".json"):
        rows = [vars(problem) | {"sentence": problem.sentence()} for problem in problems]
        document = {"status": "refused", "problems": rows}
        return Response(json.dumps(document), status, media_type="application/json")
    if request.url.path.endswith(".svg"):
        return PlainTextResponse("\n".join(sentences), status)
    return HTMLResponse(pages.Renderer("").problem(status, sentences), status)


def _say_status(request: Request, error: Exception) -> Response:
    """Answers for paths and methods that there are not."""
    assert isinstance(error, HTTPException)
    problem = Problem(request.url.path[:200], "does not exist", "Start from the table of runs", "no_page")
    return _say(request, [problem], error.status_code)


def _answer_json(document: Document) -> Response:
    return Response(document.model_dump_json(), media_type="application/json")


def _read(request: Request, name: str, otherwise: str = "") -> str:
    text = request.query_params.get(name, "").strip() or otherwise
    if len(text) > _MAX_LENGTH:
        what, remedy = f"is longer than {_MAX_LENGTH} characters", "Give a shorter one"
        raise RefusedError([Problem(name, what, remedy, "bad_option")])
    return text


def _read_all(request: Request, name: str) -> list[str]:
    return [text for text in request.query_params.getlist(name) if text.strip()]


def _read_subject(request: Request) -> tuple[str, str | None]:
    kind = _read(request, "as")
    if kind not in ("", *_KINDS):
        remedy = f"Take one of: {', '.join(_KINDS)}"
        raise RefusedError([Problem(f"as={kind}", "is no kind of thing", remedy, "bad_option")])
    return _read(request, "of"), kind or None


def _read_runs_query(request: Request) -> RunsQuery:
    page = _read(request, "page", "1")
    if not (page.isascii() and page.isdigit() and 1 <= int(page[:9]) <= 1_000_000):
        raise RefusedError([Problem(f"page={page}", "is no page", "Start from page 1", "bad_option")])
    names = ("pipeline", "status", "since", "blessed", "split")
    return RunsQuery(
        **{name: _read(request, name) for name in names},
        sort=_read(request, "sort", "newest"),
        page=int(page[:9]),
    )
