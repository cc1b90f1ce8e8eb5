"""The two sides of a preconditioned gradient: one damped Kronecker factor each, ready to apply.

A side stands for F_d = F + term * I. `DenseSide` holds its inverse or its Cholesky factor;
`SampleSide` holds rows R with F = R^T diag(s) R and the Cholesky factor of the small matrix
K = sqrt(s) R R^T sqrt(s) + term * I (Woodbury). Both apply F_d^-1 on the right of rows and on the
left of a matrix. With ``bias`` the rows end in a 1 that is not stored, and results carry its
column last.
"""
import chainer
import numpy as np

from chainer_kfac.fisher.damping import add_to_diagonal
from chainer_kfac.functions import row_products
from chainer_kfac.linalg import cholesky_factor, cholesky_inverse, cholesky_solve


class DenseSide:
    """(F + term I)^-1 as an explicit inverse (``solve=False``) or as a Cholesky factor."""

    def __init__(self, matrix, solve, bias):
        self.matrix = matrix
        self.solve = solve
        self.bias = bias

    @classmethod
    def build(cls, factor, term, *, bias=False, solve=False, dtype=None):
        """Factorise ``factor + term I`` in ``dtype``; the result has the dtype of ``factor`` again.

        Args:
            factor (array, (n, n)): undamped; not changed.
            term (float or array of shape ()): added to its diagonal.
            bias (bool): whether the last row and column of ``factor`` belong to a bias.
            solve (bool): keep the Cholesky factor instead of the inverse (a third of the price,
                slower to apply).
            dtype (dtype or None): precision of the factorisation.
        Returns:
            (DenseSide, ok)
        """
        damped = add_to_diagonal(factor.astype(dtype or factor.dtype), term)
        matrix, ok = (cholesky_factor if solve else cholesky_inverse)(damped, out=damped)
        return cls(matrix.astype(factor.dtype, copy=False), solve, bias), ok

    one_batch = False

    @property
    def xp(self):
        """The array module of the side."""
        return chainer.backend.get_array_module(self.matrix)

    @property
    def dim(self):
        """Width of the factor, bias included."""
        return len(self.matrix)

    def right(self, rows, column=None, *, out=None):
        """[rows, column] F_d^-1, (k, dim), into ``out`` or new memory."""
        xp = self.xp
        if out is None:
            out = xp.empty((len(rows), self.dim), self.matrix.dtype)
        if self.solve:
            join(rows, column, out)
            return cholesky_solve(self.matrix, out, side='right', overwrite=True)
        if len(rows) <= row_products.MOST and xp is np:
            joined = join(rows, column, np.empty((len(rows), self.dim), rows.dtype))
            if row_products.multiply(joined, self.matrix, out):
                return out
        if column is None and not self.bias:
            return xp.matmul(rows, self.matrix, out=out)
        xp.matmul(rows, self.matrix[:-1], out=out)
        if column is not None:
            out += column[:, None] * self.matrix[-1]
        return out

    def left(self, matrix, *, out=None):
        """F_d^-1 matrix, (dim, k), into ``out`` or new memory."""
        if self.solve:
            result = cholesky_solve(self.matrix, matrix)
            if out is not None:
                out[...] = result
            return result if out is None else out
        return self.xp.matmul(self.matrix, matrix, out=out)


class SampleSide:
    """(R^T diag(s) R + term I)^-1 through the Cholesky factor of the small matrix K.

    Args:
        rows (array, (r, d)): R without its bias column; a reference, not a copy.
        root (float or array, (r,)): square roots of s; a float for one batch.
        kernel (array, (r, r)): Cholesky factor of K.
        term (float or array of shape ()): the damping term.
        bias (bool): whether R ends in a column of ones.
        latest (slice): the rows of the newest batch, those that its gradient is made of.
    """

    def __init__(self, rows, root, kernel, term, bias, latest):
        self.rows = rows
        self.root = root
        self.kernel = kernel
        self.term = term
        self.bias = bias
        self.latest = latest

    @property
    def dim(self):
        """Width of the factor, bias included."""
        return self.rows.shape[1] + self.bias

    @property
    def xp(self):
        """The array module of the side."""
        return chainer.backend.get_array_module(self.rows)

    @property
    def one_batch(self):
        """Whether all rows are those of the newest batch, and so equally weighted."""
        return self.latest.stop - self.latest.start == len(self.rows)

    def right(self, rows, column=None, *, out=None):
        """[rows, column] F_d^-1 = ([rows, column] - Z R) / term, (k, dim).

        Z = [rows, column] R^T sqrt(s) K^-1 sqrt(s).
        """
        products = rows @ self.rows.T
        if self.bias and column is not None:
            products += column[:, None]
        products *= self.root
        products = cholesky_solve(self.kernel, products, side='right', overwrite=True)
        products *= self.root
        if out is None:
            out = self.xp.empty((len(rows), self.dim), self.rows.dtype)
        removed = times_rows(products, self.rows, self.bias)
        join(rows, column, out)
        out -= removed
        out /= self.term
        return out

    def left(self, matrix, *, out=None):
        """F_d^-1 matrix, (dim, k), for a side without bias."""
        products = self.weigh(self.rows @ matrix)
        result = self.xp.matmul(self.rows.T, products, out=out)
        result -= matrix
        result /= -self.term
        return result

    def weigh(self, products):
        """sqrt(s) K^-1 sqrt(s) products, in place: (r, k), C-contiguous."""
        root = self.root if np.ndim(self.root) == 0 else self.root[:, None]
        products *= root
        cholesky_solve(self.kernel, products, overwrite=True)
        products *= root
        return products

    def latest_right(self):
        """The newest batch's own rows times F_d^-1, (r_l, dim): without `right`'s cancellation."""
        return times_rows(self.latest_weights(), self.rows, self.bias)

    def latest_weights(self):
        """M with R_l F_d^-1 = M R: M = s_l^-1/2 (K^-1)_l sqrt(s), (r_l, r)."""
        xp = self.xp
        unit = xp.zeros((len(self.rows), self.latest.stop - self.latest.start), self.rows.dtype)
        unit[self.latest] = xp.eye(unit.shape[1], dtype=unit.dtype)
        weights = cholesky_solve(self.kernel, unit, overwrite=True).T
        if np.ndim(self.root):
            weights = weights * (self.root / self.root[self.latest][:, None])
        return weights


def times_rows(weights, rows, bias):
    """weights @ [rows, 1], (k, d + bias), or weights @ rows."""
    xp = chainer.backend.get_array_module(rows)
    out = xp.empty((len(weights), rows.shape[1] + bias), rows.dtype)
    if not bias:
        return xp.matmul(weights, rows, out=out)
    xp.matmul(weights, rows, out=out[:, :-1])
    out[:, -1] = weights.sum(axis=1)
    return out


def join(rows, column, out):
    """Fill ``out`` by [rows, column], or by [rows, 0] if it is wider and no column is given."""
    width = rows.shape[1]
    out[:, :width] = rows
    if out.shape[1] > width:
        out[:, width] = 0 if column is None else column
    return out


def side_of(factor, term, *, bias=False, solve=False, dtype=None):
    """(side, ok) of a dense factor, or of a `RowFactor` or `RowWindow` of `sample_space`."""
    if hasattr(factor, 'damped'):
        return factor.damped(term, dtype)
    return DenseSide.build(factor, term, bias=bias, solve=solve, dtype=dtype)


def damped_kernel(gram, root, term, dtype):
    """Cholesky factor of sqrt(s) gram sqrt(s) + term I, computed in ``dtype``; (factor, ok)."""
    kernel = gram.astype(dtype or gram.dtype)
    kernel *= root
    kernel *= root if np.ndim(root) == 0 else root[:, None]
    factor, ok = cholesky_factor(add_to_diagonal(kernel, term, out=kernel), out=kernel)
    return factor.astype(gram.dtype, copy=False), ok
