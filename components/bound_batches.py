"""Batches of examples bounded by their bytes.

TFX's readers let Beam grow a batch to 1,000 examples, which suits rows of a table; of images that is
gigabytes. tfx_bsl has a switch for batches of at most 20 MiB, a flag of absl's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from absl import flags
from tfx_bsl.coders import batch_util  # noqa: F401 (defines the flag)

_FLAG = "tfxio_use_byte_size_batching"


@contextmanager
def bounded_batches() -> Iterator[None]:
    """Makes readers that are built within bound their batches by bytes, with any runner."""
    if _FLAG not in flags.FLAGS:  # A later tfx_bsl may do without it.
        yield
        return
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()
    flag = flags.FLAGS[_FLAG]
    before, flag.value = flag.value, True
    try:
        yield
    finally:
        flag.value = before
