"""Where the metadata store is: its address, who names it, and where its password comes from.

An address is configuration and may be seen by all; a password is not, and never becomes part of one.
Imports nothing that is heavy: an impossible address is refused before anything is started.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from data.errors import Problem, RefusedError
from data.replace_file import replace_file
from pipeline.workspace import Workspace

STORE_VARIABLE = "DECONVFLOW_METADATA_STORE"
PASSWORD_VARIABLE = "DECONVFLOW_METADATA_PASSWORD"
PASSWORD_FILE_VARIABLE = "DECONVFLOW_METADATA_PASSWORD_FILE"

EXAMPLES = (
    "sqlite:///metadata.sqlite, mysql://user@host/database, postgresql://user@host/database, grpc://host:8080"
)
_DEFAULT_PORTS = {"mysql": 3306, "postgresql": 5432, "grpc": None}
_SPELLINGS = {"postgres": "postgresql", "psql": "postgresql", "mariadb": "mysql", "sqlite3": "sqlite"}
_MAX_PASSWORD_BYTES = 10_000


@dataclass(frozen=True)
class StoreAddress:
    """Where the metadata of runs is kept; without any password."""

    scheme: str
    """sqlite, mysql, postgresql or grpc."""
    path: Path | None = None
    """Of a sqlite file, absolute."""
    host: str = ""
    port: int = 0
    user: str = ""
    database: str = ""

    def __str__(self) -> str:
        """Returns the address as it is written in a configuration."""
        if self.path is not None:
            return f"sqlite:///{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        user = f"{quote(self.user)}@" if self.user else ""
        return f"{self.scheme}://{user}{host}:{self.port}" + (f"/{self.database}" if self.database else "")

    @property
    def takes_password(self) -> bool:
        """Whether the server asks for one."""
        return self.scheme in ("mysql", "postgresql")


def find_store(workspace: Workspace, configured: str | None = None) -> StoreAddress:
    """Returns the store of a workspace: the first that is named, else the sqlite file in it.

    Looked at in turn: ``--store`` (``workspace.store``), the environment, ``metadata.store`` of the
    configuration, and what the last run of this workspace used.

    Args:
        workspace: the workspace.
        configured: ``metadata.store`` of a configuration, where there is one.

    Raises:
        RefusedError: if the address is impossible.
    """
    if workspace.store:
        return parse_address(workspace.store, "--store")
    if named := os.environ.get(STORE_VARIABLE):
        return parse_address(named, STORE_VARIABLE)
    if configured:
        return parse_address(configured, "metadata.store")
    if remembered := _read_short(workspace.store_file):
        return parse_address(remembered, str(workspace.store_file))
    return own_store(workspace)


def own_store(workspace: Workspace) -> StoreAddress:
    """Returns the sqlite file in the workspace."""
    return StoreAddress("sqlite", path=workspace.metadata_db.absolute())


def remember_store(workspace: Workspace, address: StoreAddress) -> None:
    """Notes in the workspace where its runs are recorded, for the commands that ask about them."""
    path = workspace.store_file
    if address == own_store(workspace):
        path.unlink(missing_ok=True)
    elif _read_short(path) != str(address):
        replace_file(path, f"{address}\n")


def parse_address(text: str, where: str, base: Path | None = None) -> StoreAddress:
    """Reads an address.

    Args:
        text: such as ``mysql://user@host:3306/database``.
        where: what named it, for the refusal.
        base: folder of a relative sqlite path; the current one if None.

    Raises:
        RefusedError: if there can be no such store, or the address holds a password.
    """
    scheme, separator, rest = text.strip().partition("://")
    if separator and scheme == "sqlite":
        return _parse_sqlite(rest, where, base or Path.cwd())
    if not separator or scheme not in _DEFAULT_PORTS:
        close = _SPELLINGS.get(scheme)
        remedy = f"Write {close}://..." if separator and close else f"Write an address such as {EXAMPLES}"
        raise _refuse(where, text, "is no address of a metadata store", remedy)
    return _parse_server(text.strip(), scheme, where)


def _parse_sqlite(rest: str, where: str, base: Path) -> StoreAddress:
    text = f"sqlite://{rest}"
    path = rest.removeprefix("/")
    if not rest.startswith("/") or not path.strip("/") or path == ":memory:" or path.endswith("/"):
        remedy = "Write sqlite:///folder/file.sqlite, or sqlite:////folder/file.sqlite for an absolute path"
        raise _refuse(where, text, "names no sqlite file", remedy)
    if "?" in path or "#" in path or "\0" in path:
        raise _refuse(
            where, text, "has options, which sqlite stores have not", "Leave out what follows the path"
        )
    return StoreAddress("sqlite", path=(base / path).resolve())


def _parse_server(text: str, scheme: str, where: str) -> StoreAddress:
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise _refuse(where, text, "names no host and port", f"Write an address such as {EXAMPLES}") from None
    if parts.password is not None or text.count("@") > 1 or (text.count("@") and "@" not in parts.netloc):
        raise _refuse(where, text, "has a password in it, where others can read it", password_remedy())
    if parts.query or parts.fragment:
        remedy = f"Leave out what follows the database. {password_remedy()}"
        raise _refuse(where, text, "has options, which addresses of stores have not", remedy)
    if not host or not re.fullmatch(r"[A-Za-z0-9._:-]+", host):
        raise _refuse(where, text, "names no host", f"Write an address such as {EXAMPLES}")
    if port == 0 or (port is None and scheme == "grpc"):
        raise _refuse(where, text, "names no port", f"Write {scheme}://{host}:8080, with the server's port")
    user, database = unquote(parts.username or ""), parts.path.strip("/")
    if scheme == "grpc":
        if user or database:
            what = f"names a {'user' if user else 'database'}, which a metadata service does not ask for"
            raise _refuse(where, text, what, f"Write grpc://{host}:{port}")
    elif not user:
        raise _refuse(where, text, "names no user", f"Write {scheme}://user@{host}/{database or 'database'}")
    elif not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,62}", database):
        remedy = f"Write {scheme}://{user}@{host}/database; names are of letters, digits and _"
        raise _refuse(
            where, text, "names no database" if not database else "names an impossible database", remedy
        )
    return StoreAddress(scheme, None, host, port or _DEFAULT_PORTS[scheme] or 0, user, database)


def password_remedy() -> str:
    """Returns where a password belongs, as the remedy of a problem."""
    return f"Give the password in {PASSWORD_VARIABLE}, or a file that holds it in {PASSWORD_FILE_VARIABLE}"


def read_password(environment: Mapping[str, str] | None = None) -> str:
    """Returns the password of the store's user; empty if none is given.

    Args:
        environment: the process' own if None.

    Raises:
        RefusedError: if it is given twice, or its file cannot be read.
    """
    environment = os.environ if environment is None else environment
    password, file = environment.get(PASSWORD_VARIABLE, ""), environment.get(PASSWORD_FILE_VARIABLE, "")
    if not file:
        return password
    if password:
        remedy = f"Unset one of {PASSWORD_VARIABLE} and {PASSWORD_FILE_VARIABLE}"
        raise RefusedError(
            [Problem(PASSWORD_VARIABLE, "is given twice, by a file too", remedy, "bad_password")]
        )
    try:
        content = Path(file).read_bytes()
        if len(content) > _MAX_PASSWORD_BYTES:
            raise ValueError("is larger than 10 kB, and so no password")
        return content.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except (OSError, ValueError) as error:
        reason = "is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error)
        reason = getattr(error, "strerror", None) or reason
        where, remedy = (
            f"{PASSWORD_FILE_VARIABLE}={file}",
            "Name a file that holds the password and nothing else",
        )
        raise RefusedError([Problem(where, reason, remedy, "bad_password")]) from None


def redact(text: str) -> str:
    """Returns a text in which passwords of addresses are replaced by ``***``."""
    return re.sub(r"(\w://[^:/?#\s@]*):.*@", r"\1:***@", text, flags=re.DOTALL)


def _refuse(where: str, address: str, what: str, remedy: str) -> RefusedError:
    # Without ://, nothing tells a password in it from the rest.
    shown = redact(address).partition("?")[0] if "://" in address or "@" not in address else "it"
    return RefusedError([Problem(where, f"{shown} {what}", remedy, "bad_store")])


def _read_short(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")[:1000].strip()
    except (OSError, UnicodeDecodeError):
        return ""
