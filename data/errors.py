"""What is wrong with somebody's input, in sentences that name the place and the remedy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Problem:
    """One thing that is wrong with a data set or a configuration.

    Attributes:
        where: the file, or the configuration key's full path (``trainer.batch_size``).
        what: what is wrong with it, as the rest of a sentence that starts with ``where``.
        remedy: what the user can do, as an imperative sentence.
        code: a short stable name of the kind of problem (``truncated_image``).
    """

    where: str
    what: str
    remedy: str
    code: str = "problem"

    def sentence(self) -> str:
        """Returns ``where: what. remedy.`` on one line."""
        return f"{self.where}: {self.what.rstrip('.')}. {self.remedy.rstrip('.')}".removesuffix("?") + (
            "?" if self.remedy.endswith("?") else "."
        )


class RefusedError(Exception):
    """Input that is refused: nothing was started, or nothing was lost. The command exits with 2."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("\n".join(problem.sentence() for problem in self.problems))
