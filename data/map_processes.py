"""Spreading work on files over the processors, with progress."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import TypeVar

from data.progress import current

Item = TypeVar("Item")
Result = TypeVar("Result")

_FEWEST_ITEMS = 24
_LARGEST_CHUNK = 32


def map_processes(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    stage: str,
    workers: int | None = None,
    threads: int = 1,
) -> list[Result]:
    """Returns ``[function(item) for item in items]``, computed in several processes.

    Args:
        function: picklable, a function of a module or a ``functools.partial`` of one.
        items: picklable.
        stage: what the progress is called.
        workers: so many processes; as many as this process may use processors if None.
        threads: so many in each process, for work that waits for others.
    """
    workers = workers or len(os.sched_getaffinity(0))
    if workers < 2 or len(items) < _FEWEST_ITEMS:
        with current().stage(stage, len(items)) as progress:
            return [_one(function, item, progress.advance) for item in items]
    size = max(1, min(_LARGEST_CHUNK, len(items) // (workers * 8)))
    chunks = [items[start : start + size] for start in range(0, len(items), size)]
    results: list[Result] = []
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context(_start_method())) as pool:
        # Submitted before the stage opens: its drawing may start a thread, and forks come first.
        futures = [pool.submit(_map_chunk, function, chunk, threads) for chunk in chunks]
        try:
            with current().stage(stage, len(items)) as progress:
                for future, chunk in zip(futures, chunks, strict=True):
                    results.extend(future.result())
                    progress.advance(len(chunk))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return results


def _one(function: Callable[[Item], Result], item: Item, advance: Callable[[float], None]) -> Result:
    result = function(item)
    advance(1)
    return result


def _map_chunk(function: Callable[[Item], Result], chunk: Sequence[Item], threads: int) -> list[Result]:
    if threads > 1:
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(function, chunk))
    return [function(item) for item in chunk]


def _start_method() -> str:
    """Forks, which costs nothing, only where no thread can hold a lock that the child would wait for."""
    may_fork = threading.active_count() == 1 and not {"tensorflow", "grpc"} & sys.modules.keys()
    return "fork" if may_fork and "fork" in multiprocessing.get_all_start_methods() else "spawn"
