"""The preconditioned gradient G_d^-1 dW A_d^-1 of a layer from its two damped sides.

``dW`` is given whole, or as the rows it is made of: dW = scale * gy^T [x, 1]. From rows, nothing
of the size of dW but the result is ever formed. Weights and biases come and go apart: (n, d), (n,).
"""
import chainer

from chainer_kfac.fisher.sides import SampleSide, times_rows
from chainer_kfac.linalg import cholesky_solve


def precondition_dense(G, A, dW, db=None, *, out=None):
    """G_d^-1 [dW, db] A_d^-1 for any gradient.

    Args:
        G, A (DenseSide or SampleSide): the sides, of widths n and d (+ 1 if A has a bias).
        dW (array, (n, d)), db (array, (n,) or None).
        out (pair of arrays or None): where the results go, (n, d) and (n,) or None.
    Returns:
        (W, b): ``out``, or new memory; b is None if A has no bias.
    """
    return _left(G, A, A.right(dW, db), out)


def precondition_rows(G, A, gy=None, x=None, *, scale=1.0, decay=0.0, W=None, b=None, out=None):
    """G_d^-1 (scale * gy^T [x, 1] + decay * [W, b]) A_d^-1 from the rows of a batch.

    Args:
        G, A (DenseSide or SampleSide): the sides, of widths n and d (+ 1 if A has a bias).
        gy (array, (r, n) or None): gradients at the outputs; None if they are the newest rows of
            G itself, which must then be a SampleSide: cheaper, and free of cancellation.
        x (array, (r, d) or None): inputs; None likewise for A.
        scale (float): 1 for the gradient of a mean loss, 1 / loss_scale for a scaled one.
        decay (float): coefficient of coupled weight decay.
        W (array, (n, d)), b (array, (n,) or None): decayed weights, read if ``decay`` is not 0.
        out (pair of arrays or None): where the results go, (n, d) and (n,) or None.
    Returns:
        (W, b): ``out``, or new memory; b is None if A has no bias.
    """
    xp = chainer.backend.get_array_module(G.matrix if hasattr(G, 'matrix') else G.rows)
    solves = []
    left = _rows(G, gy, solves)
    right = _rows(A, x, solves)
    if left.shape[1] < right.shape[1]:
        for kernel in solves:
            left = cholesky_solve(kernel, left)
    else:
        for kernel in reversed(solves):
            right = cholesky_solve(kernel, right)
    d = A.dim - A.bias
    if out is None:
        out = _empty(xp, G.dim, d, A.bias, right.dtype)
    left = left.T * xp.asarray(scale, left.dtype)
    xp.matmul(left, right[:, :d], out=out[0])
    if A.bias:
        out[1][...] = left @ right[:, d]
    if decay:
        for target, term in zip(out, precondition_dense(G, A, W, b)):
            if target is not None:
                target += decay * term
    return out


def _rows(side, rows, solves):
    """Rows times F_d^-1; or bare rows, with the kernel still to be solved with added to ``solves``."""
    if rows is not None:
        xp = chainer.backend.get_array_module(rows)
        return side.right(rows, xp.ones(len(rows), rows.dtype) if side.bias else None)
    if not isinstance(side, SampleSide):
        raise ValueError('a dense side has no rows of its own; pass gy and x')
    if not side.one_batch:
        return side.latest_right()
    solves.append(side.kernel)
    if not side.bias:
        return side.rows
    xp = chainer.backend.get_array_module(side.rows)
    return xp.concatenate([side.rows, xp.ones((len(side.rows), 1), side.rows.dtype)], axis=1)


def _left(G, A, product, out):
    xp = chainer.backend.get_array_module(product)
    d = A.dim - A.bias
    if out is None:
        out = _empty(xp, G.dim, d, A.bias, product.dtype)
    G.left(product[:, :d], out=out[0])
    if A.bias:
        out[1][...] = G.left(product[:, d:])[:, 0]
    return out


def _empty(xp, n, d, bias, dtype):
    return xp.empty((n, d), dtype), xp.empty(n, dtype) if bias else None
