"""Which part of every batch a worker makes. Imports no TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """One of several equal parts of a batch, one behind the other.

    Attributes:
        index: which, from 0.
        count: how many there are; they divide the batch.
    """

    index: int
    count: int

    def size(self, batch_size: int) -> int:
        """Returns the number of examples in this part."""
        return batch_size // self.count

    def first(self, batch_size: int) -> int:
        """Returns the place in the batch of this part's first example."""
        return self.index * self.size(batch_size)


WHOLE = Part(0, 1)
