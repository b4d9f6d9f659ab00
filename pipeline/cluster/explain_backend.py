"""What a conversation with Kubeflow Pipelines failed of, in sentences. Imports no kfp until it has to."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from data.errors import Problem
from data.parse_json import parse_json
from pipeline.cluster.hide_secrets import hide_secrets

_LONGEST_MESSAGE = 300
_REMEDIES = {
    401: (
        "does not know who is asking",
        "Give a token by KFP_EXISTING_TOKEN or KF_PIPELINES_SA_TOKEN_PATH; see kubeflow/README.md",
    ),
    403: (
        "does not allow that",
        "Ask for the right in this namespace, or name another by --namespace",
    ),
    404: (
        "has no such thing",
        "Look at the id and at --host: it is the address of the API, without /pipeline or /#/ behind it",
    ),
    409: ("has it already", "Take another name"),
    429: ("is asked too much", "Try again later"),
}


class BackendError(Exception):
    """The backend failed when something may have been started. The command exits with 1."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(problem.sentence())


def explain_failure(host: str, doing: str, error: Exception, secrets: Sequence[str] = ()) -> Problem:
    """Returns what went wrong.

    Args:
        host: whom we talked to.
        doing: what was tried, as ``submitting the run``.
        error: what kfp raised.
        secrets: texts that must not be shown, beside those of the environment.
    """
    what, remedy, code = _explain(error)
    what = _hide(f"{what} ({doing})", secrets)
    return Problem(_hide(host, secrets), what, remedy, code)


def _hide(text: str, secrets: Sequence[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, "***") if secret else text
    return hide_secrets(text)


def _explain(error: Exception) -> tuple[str, str, str]:
    import kfp_server_api
    import urllib3.exceptions as http

    if isinstance(error, kfp_server_api.ApiException) and error.status:
        return _explain_status(error.status, _read_message(error.body))
    reason = getattr(error, "reason", None)
    cause = reason if isinstance(reason, Exception) else error
    if isinstance(cause, http.SSLError) or isinstance(error, kfp_server_api.ApiException):
        words = cause if isinstance(cause, http.SSLError) else str(reason)
        remedy = "Name the authority's certificate in KFP_SSL_CA_CERT, or mend the address"
        return f"is not trusted: {_first_line(words)}", remedy, "backend_tls"
    # Older versions of urllib3 have one error for both, which is a kind of time-out, too.
    if isinstance(cause, http.NewConnectionError):
        if re.search(r"resolve|name resolution|not known|getaddrinfo", str(cause)):
            return (
                "is not known: its name leads nowhere",
                "Mend --host or KF_PIPELINES_ENDPOINT",
                "backend_name",
            )
        remedy = (
            "Look at --host; for a cluster without an address, first "
            "`kubectl port-forward -n kubeflow svc/ml-pipeline 8888:8888` and take http://localhost:8888"
        )
        return "takes no connection", remedy, "backend_refused"
    if isinstance(cause, http.ConnectTimeoutError | http.ReadTimeoutError | TimeoutError):
        remedy = "Look whether it is reached from here, or give it longer by --request-seconds"
        return "does not answer in time", remedy, "backend_timeout"
    if isinstance(cause, http.HTTPError | ConnectionError):
        return (
            f"broke off: {_first_line(cause)}",
            "Try again; then look at the backend's log",
            "backend_broke",
        )
    remedy = "Look whether it is Kubeflow Pipelines 2 and not a page to log in at"
    return f"answered what is not understood: {_first_line(error)}", remedy, "backend_answer"


def _explain_status(status: int, message: str) -> tuple[str, str, str]:
    said = f", saying: {message}" if message else ""
    if status in _REMEDIES:
        what, remedy = _REMEDIES[status]
        return f"{what} (HTTP {status}){said}", remedy, f"backend_{status}"
    if status >= 500:
        remedy = "Try again; then look at the log of the deployment ml-pipeline"
        return f"failed (HTTP {status}){said}", remedy, "backend_failed"
    return f"refused (HTTP {status}){said}", "Mend what it names", "backend_refused_request"


def _read_message(body: object) -> str:
    """Returns the backend's own words, on one line; nothing of a page of HTML."""
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body or "")
    try:
        values = parse_json(text)
    except ValueError:
        return ""
    if not isinstance(values, dict):
        return ""
    return _first_line(values.get("message") or values.get("error") or "")


def _first_line(value: object) -> str:
    lines = re.sub(r"0x[0-9a-f]{6,}", "", str(value)).strip().splitlines() or [""]
    line = lines[0] if len(lines[0]) > 15 or len(lines) == 1 else " ".join(lines[:2])
    return line if len(line) <= _LONGEST_MESSAGE else line[:_LONGEST_MESSAGE] + " ..."


def read_token() -> str | None:
    """Returns the token that the environment names, under the name that kfp's own command line uses."""
    return os.environ.get("KFP_EXISTING_TOKEN") or None
