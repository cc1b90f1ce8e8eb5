"""Kronecker factors kept as the rows they are made of, for preconditioning in sample space.

A factor F = sum_i s_i r_i r_i^T of fewer rows than columns need not be formed: its trace, and by
Woodbury's identity its damped inverse, follow from the small matrix of inner products of the rows.
"""
import chainer
import numpy as np

from chainer_kfac.fisher.sides import SampleSide, damped_kernel
from chainer_kfac.linalg import symmetric_product


class _Rows:
    """What follows from ``rows`` and ``bias`` alone."""

    @property
    def dim(self):
        """Width of the factor, bias included."""
        return self.rows.shape[1] + self.bias

    @property
    def dtype(self):
        """Precision of the rows."""
        return self.rows.dtype


class RowFactor(_Rows):
    """F = scale * [rows, 1]^T [rows, 1], or without the 1, of a single batch.

    Args:
        rows (array, (r, d), float32/64): held by reference until the step is over.
        scale (float): 1 / N for A, `factors.gradient_scale` for G.
        bias (bool): whether each row ends in a 1 that is not stored.
    """

    def __init__(self, rows, scale, bias=False):
        self.rows = rows
        self.scale = scale
        self.bias = bias
        self.gram = symmetric_product(rows.T)
        if bias:
            self.gram += 1

    @property
    def trace(self):
        """Trace of the undamped factor."""
        return self.gram.trace() * self.scale

    def damped(self, term, dtype=None):
        """(SampleSide, ok) of F + term I, factorised in ``dtype``."""
        root = self.scale ** 0.5
        kernel, ok = damped_kernel(self.gram, root, term, dtype)
        return SampleSide(self.rows, root, kernel, term, self.bias, slice(0, len(self.rows))), ok


class RowWindow(_Rows):
    """Running average of a factor, kept as the rows of the newest ``length`` batches.

    average <- w * new + (1 - w) * average weighs a batch by w and by (1 - w) for each batch after
    it; the first batch by 1. Batches that leave the window are forgotten: `truncated_weight` tells
    how much of the total weight 1 is gone, and bounds the error together with the lost factors'
    size. With a constant w it tends to (1 - w)^length.

    Args:
        length (int): batches kept.
        bias (bool): whether each row ends in a 1 that is not stored.
    """

    def __init__(self, length, bias=False):
        if length < 1:
            raise ValueError('length must be >= 1, got {!r}'.format(length))
        self.length = length
        self.bias = bias
        self.rows = None
        self.gram = None
        self.weights = np.zeros(length)
        self.scales = np.zeros(0)
        self.newest = -1
        self.rows_of_newest = 0

    def push(self, rows, scale, weight, multiply=None):
        """Take in a batch's rows, (r, d), as `RowFactor` does, at ``weight`` in the average.

        ``multiply(block, rows)`` computes ``block @ rows.T``, by default here and alone.
        """
        first = self.newest < 0
        self.weights *= 1.0 - weight
        self._fit(rows)
        self.newest = (self.newest + 1) % self.length
        self.weights[self.newest] = 1.0 if first else weight
        self.rows_of_newest = len(rows)
        slot = self._slot()
        self.scales[slot] = scale
        self.scales[slot.start + len(rows):slot.stop] = 0
        block = self.rows[slot]
        block[:len(rows)] = rows
        block[len(rows):] = 0
        products = multiply(block, self.rows) if multiply else block @ self.rows.T
        if self.bias:
            products += 1
        self.gram[slot] = products
        self.gram[:, slot] = products.T

    @property
    def truncated_weight(self):
        """Share of the average's weight that has left the window."""
        return max(0.0, 1.0 - self.weights.sum())

    @property
    def trace(self):
        """Trace of the (truncated) running average."""
        root = self.roots()
        return (self.gram.diagonal() * root * root).sum()

    def damped(self, term, dtype=None):
        """(SampleSide, ok) of the average plus term I, factorised in ``dtype``."""
        root = self.roots()
        kernel, ok = damped_kernel(self.gram, root, term, dtype)
        start = self._slot().start
        latest = slice(start, start + self.rows_of_newest)
        return SampleSide(self.rows, root, kernel, term, self.bias, latest), ok

    def _slot(self):
        size = len(self.rows) // self.length
        return slice(self.newest * size, (self.newest + 1) * size)

    def roots(self):
        """Square roots of the s of every row held, (rows,): the average is R^T diag(s) R."""
        xp = chainer.backend.get_array_module(self.rows)
        size = len(self.rows) // self.length
        root = np.sqrt(np.repeat(self.weights, size) * self.scales)
        return xp.asarray(root, self.rows.dtype)

    def _fit(self, rows):
        """Make room for a batch; smaller ones are padded by rows whose scale is 0."""
        xp = chainer.backend.get_array_module(rows)
        old_size = 0 if self.rows is None else len(self.rows) // self.length
        if len(rows) <= old_size:
            return
        shape = self.length, len(rows), rows.shape[1]
        grown = xp.zeros(shape, rows.dtype)
        if old_size:
            grown[:, :old_size] = self.rows.reshape(self.length, old_size, -1)
        self.rows = grown.reshape(-1, rows.shape[1])
        scales = np.zeros(shape[:2])
        scales[:, :old_size] = self.scales.reshape(self.length, old_size)
        self.scales = scales.ravel()
        self.gram = symmetric_product(self.rows.T)
        if self.bias:
            self.gram += 1
