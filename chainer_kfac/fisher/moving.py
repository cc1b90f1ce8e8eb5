"""Moving a running average by one step, whatever it is kept as and whatever the step brings."""
import chainer

from chainer_kfac.fisher import ema
from chainer_kfac.fisher.sample_space import RowWindow
from chainer_kfac.fisher.sides import join
from chainer_kfac.linalg import Workspace, symmetric_product


def move_window(window: RowWindow | None, rows, scale: float, weight: float, *, length: int,
                bias: bool = False, multiply=None) -> RowWindow:
    """A window after one more batch of rows, see `RowWindow.push`; a new one before the first."""
    if window is None:
        window = RowWindow(length, bias)
    window.push(rows, scale, weight, multiply)
    return window


def move_matrix(average, new, rows, scale: float, weight: float, *, bias: bool = False,
                workspace: Workspace):
    """A matrix average after one more factor, or after the rows that make up one.

    average <- weight * F + (1 - weight) * average; the first factor is taken as it is. From rows
    the average moves in place, without a matrix for F = scale [rows, 1]^T [rows, 1].

    Args:
        average (array, (m, m), or None): overwritten.
        new (array or None): F, overwritten; if it is None, ``rows`` are used.
        rows (array, (r, m - bias)): finite, for they reach the average unseen.
    Returns:
        array: the average, often in the memory of ``average``.
    """
    if new is not None:
        return ema.update(average, new, weight)
    xp = chainer.backend.get_array_module(rows)
    if bias:
        with_one = workspace.take('rows and 1', (len(rows), rows.shape[1] + 1), rows.dtype, xp)
        rows = join(rows, 1, with_one)
    if average is None:
        return symmetric_product(rows, scale=scale)
    return symmetric_product(rows, scale=scale * weight, out=average, keep=1.0 - weight)


def as_matrix(average):
    """A running average as a matrix, in new memory if it is a window of rows."""
    if not isinstance(average, RowWindow):
        return average
    root = average.roots()
    rows = average.rows * root[:, None]
    if average.bias:
        xp = chainer.backend.get_array_module(rows)
        rows = xp.concatenate([rows, root[:, None]], axis=1)
    return symmetric_product(rows)
