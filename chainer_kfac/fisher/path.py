"""How one block computes its preconditioned gradient; every path yields the same numbers.

Which one is fastest depends on the layer's widths, the batch and the intervals.
"""
from typing import NamedTuple


class Path(NamedTuple):
    """A choice for each part of a block's work.

    Attributes:
        solve: keep Cholesky factors and solve, instead of explicit inverses.
        rows_A, rows_G: keep that running average as the rows of the newest ``window`` batches and
            invert it in sample space; exact up to the weight of the batches that left the window.
        window: batches kept, at least 1.
        thin: precondition the rows before they are multiplied into a gradient.
    """

    solve: bool = False
    rows_A: bool = False    # noqa: N815 (the factors' names)
    rows_G: bool = False    # noqa: N815
    window: int = 1
    thin: bool = False

    @property
    def keeps_rows(self) -> bool:
        """Whether the rows of inputs and output gradients must be at hand in a step."""
        return self.rows_A or self.rows_G or self.thin
