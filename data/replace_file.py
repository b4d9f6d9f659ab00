"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import secrets
from pathlib import Path


def replace_file(path: Path, content: str | bytes) -> None:
    """Writes a file under a temporary name in the same folder, then renames it.

    Whoever reads meanwhile finds the old content or the new, and of several writers one wins. Power
    failures are not provided for: nothing is synchronised to the disk.

    Args:
        path: a local file, or where one shall be; its folder exists.
        content: text is written as UTF-8, line ends as they are.

    Raises:
        OSError: it cannot be written; what was there before stays, and nothing else.
    """
    encoded = content.encode("utf-8") if isinstance(content, str) else content
    # Not made of the file's own name, which may be as long as names can be.
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        temporary.write_bytes(encoded)
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
