"""The preconditioned gradient G_d^-1 dW A_d^-1 of a layer from its two damped sides.

``dW`` is given whole, or as the rows it is made of: dW = scale * gy^T [x, 1]. From rows, nothing
of the size of dW but the result is ever formed. Weights and biases come and go apart: (n, d), (n,).
"""
import chainer

from chainer_kfac.fisher.sides import SampleSide, join
from chainer_kfac.linalg import Workspace, add_product, cholesky_solve


def precondition_dense(G, A, dW, db=None, *, out=None, workspace=None):
    """G_d^-1 [dW, db] A_d^-1 for any gradient.

    Args:
        G, A (DenseSide or SampleSide): the sides, of widths n and d (+ 1 if A has a bias).
        dW (array, (n, d)), db (array, (n,) or None).
        out (pair of arrays or None): where the results go, (n, d) and (n,) or None.
        workspace (Workspace or None): scratch memory to reuse from call to call.
    Returns:
        (W, b): ``out``, or new memory; b is None if A has no bias.
    """
    xp = chainer.backend.get_array_module(dW)
    workspace = workspace or Workspace()
    out = out or _empty(xp, G, A, dW.dtype)
    if _are_samples(G, A):
        return _between_samples(G, A, dW, db, 1.0, out, workspace)
    right = workspace.take('dense', (len(dW), A.dim), dW.dtype, xp)
    A.right(dW, db, out=right)
    d = A.dim - A.bias
    G.left(right[:, :d], out=out[0])
    if A.bias:
        out[1][...] = G.left(right[:, d:])[:, 0]
    return out


def precondition_rows(G, A, gy=None, x=None, *, scale=1.0, decay=0.0, W=None, b=None, out=None,
                      workspace=None):
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
        workspace (Workspace or None): scratch memory to reuse from call to call.
    Returns:
        (W, b): ``out``, or new memory; b is None if A has no bias.
    Raises:
        ValueError: if rows are missing for a side that holds none.
    """
    for side, rows in ((G, gy), (A, x)):
        if rows is None and not isinstance(side, SampleSide):
            raise ValueError('a dense side has no rows of its own; pass gy and x')
    xp = G.xp
    workspace = workspace or Workspace()
    out = out or _empty(xp, G, A, (A.rows if x is None else x).dtype)
    if decay and _are_samples(G, A):
        gradient = _applied(A, x, 'right rows', workspace) * W.dtype.type(scale)
        return _between_samples(G, A, W, b, decay, out, workspace, gy=gy, gradient=gradient)
    left, right = _preconditioned_rows(G, A, gy, x, workspace)
    d = A.dim - A.bias
    if scale != 1.0:
        left = left * left.dtype.type(scale)
    xp.matmul(left.T, right[:, :d], out=out[0])
    if A.bias:
        xp.matmul(left.T, right[:, d], out=out[1])
    if decay:
        terms = precondition_dense(G, A, W, b, workspace=workspace)
        for target, term in zip(out, terms):
            if target is not None:
                term *= decay
                target += term
    return out


def _preconditioned_rows(G, A, gy, x, workspace):
    """Rows L, (r, n), and R, (r, dim of A), with G_d^-1 gy^T [x, 1] A_d^-1 = L^T R.

    A batch that is all a SampleSide holds needs its kernel K solved with, L = K^-1 gy; as
    L^T R = gy^T K^-1 R, the solves of both sides go to the narrower rows.
    """
    xp = G.xp
    kernels = [side.kernel for side, rows in ((G, gy), (A, x)) if rows is None and _is_bare(side)]
    left = G.rows if gy is None and _is_bare(G) else _applied(G, gy, 'left rows', workspace)
    if x is None and _is_bare(A):
        right = A.rows
        narrow_left = G.dim <= A.dim
        if A.bias or (kernels and not narrow_left):
            right = workspace.take('right rows', (len(A.rows), A.dim), A.rows.dtype, xp)
            join(A.rows, 1 if A.bias else None, right)
    else:
        right = _applied(A, x, 'right rows', workspace)
        narrow_left = G.dim <= A.dim
    if not kernels:
        return left, right
    if narrow_left:
        solved = workspace.take('left rows', left.shape, left.dtype, xp)
        if solved is not left:
            solved[...] = left
        return _solve_in_order(kernels, solved), right
    return left, _solve_in_order(kernels[::-1], right)


def _solve_in_order(kernels, rows):
    for kernel in kernels:
        rows = cholesky_solve(kernel, rows, overwrite=True)
    return rows


def _applied(side, rows, name, workspace):
    """[rows, 1] F_d^-1 in scratch memory; without rows, of the newest rows of the side itself."""
    if rows is None:
        return side.latest_right()
    xp = side.xp
    out = workspace.take(name, (len(rows), side.dim), rows.dtype, xp)
    return side.right(rows, xp.ones(len(rows), rows.dtype) if side.bias else None, out=out)


def _are_samples(G, A):
    """Whether `_between_samples` serves; for fewer outputs than rows, its solves cost too much."""
    return isinstance(G, SampleSide) and isinstance(A, SampleSide) and len(G.rows) <= G.dim


def _is_bare(side):
    return isinstance(side, SampleSide) and side.one_batch


def _between_samples(G, A, V, column, factor, out, workspace, *, gy=None, gradient=None):
    """factor * G_d^-1 [V, column] A_d^-1 of two SampleSides, in one pass over the result.

    With Y and X the rows of G and A (X with its ones), Z_g and Z_a their `SampleSide.weigh`,
    Q = Z_a X and U = Z_g (Y V - (Y V X^T) Q),

        G_d^-1 V A_d^-1 = (V - Y^T U - (V X^T) Q) / (term_g term_a).

    G_d^-1 gy^T ``gradient`` is added if there is one, (rows, dim of A). Of G's own newest rows,
    where ``gy`` is None, it shares its product with the first subtrahend.
    """
    xp = G.xp
    r, s, d = len(G.rows), len(A.rows), A.dim - A.bias
    share = factor / (G.term * A.term)
    # One product adds all terms: Y with U, X V^T with Q, and further rows, one below the other.
    more = 0 if gy is None else len(gy)
    left = workspace.take('samples left', (r + s + more, G.dim), G.rows.dtype, xp)
    right = workspace.take('samples right', (r + s + more, A.dim), A.rows.dtype, xp)
    Y, outputs, U, X = left[:r], left[r:r + s], right[:r], right[r:r + s]
    Y[...] = G.rows
    join(A.rows, 1 if A.bias else None, X)
    xp.matmul(A.rows, V.T, out=outputs)
    xp.matmul(Y, V, out=U[:, :d])
    if A.bias:
        U[:, d] = 0 if column is None else Y @ column
        if column is not None:
            outputs += column
    Y_V_X = U @ X.T
    A.weigh(X)
    U -= Y_V_X @ X
    G.weigh(U)
    right[:r + s] *= -share
    if gy is not None:
        G.right(gy, out=left[r + s:])
        right[r + s:] = gradient
    elif gradient is not None:
        U += G.latest_weights().T @ gradient
    xp.multiply(V, share, out=out[0])
    add_product(left, right[:, :d], out[0])
    if A.bias:
        xp.add(right[:, d] @ left, 0 if column is None else share * column, out=out[1])
    return out


def _empty(xp, G, A, dtype):
    d = A.dim - A.bias
    return xp.empty((G.dim, d), dtype), xp.empty(G.dim, dtype) if A.bias else None
