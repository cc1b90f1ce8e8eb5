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
    if decay and gy is None and x is None and G.one_batch and A.one_batch:
        return _one_batch_with_decay(G, A, scale, decay, W, b, out, workspace)
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


def _is_bare(side):
    return isinstance(side, SampleSide) and side.one_batch


def _one_batch_with_decay(G, A, scale, decay, W, b, out, workspace):
    """The gradient of the rows that both sides hold, and the decay, in one pass over the result.

    With Y = gy, X = [x, 1], V = [W, b], U = K_g^-1 (Y V - s_a (Y V X^T) K_a^-1 X),

        G_d^-1 V A_d^-1 = (V - s_g Y^T U - s_a (V X^T) K_a^-1 X) / (term_g term_a),

    and the first subtrahend shares its product with the gradient Y^T K_g^-1 K_a^-1 X.
    """
    xp = G.xp
    r, d = len(A.rows), A.dim - A.bias
    share = decay / (G.term * A.term)
    # One product adds both subtrahends: Y with U, and X V^T with K_a^-1 X, one below the other.
    left = workspace.take('decay left', (2 * r, G.dim), G.rows.dtype, xp)
    right = workspace.take('decay right', (2 * r, A.dim), A.rows.dtype, xp)
    (Y, outputs), (U, X) = (left[:r], left[r:]), (right[:r], right[r:])
    Y[...] = G.rows
    join(A.rows, 1 if A.bias else None, X)
    xp.matmul(A.rows, W.T, out=outputs)
    xp.matmul(Y, W, out=U[:, :d])
    if A.bias:
        U[:, d] = 0 if b is None else Y @ b
        if b is not None:
            outputs += b
    Y_V_X = U @ X.T
    cholesky_solve(A.kernel, X, overwrite=True)
    U -= (A.scale * Y_V_X) @ X
    U *= -share * G.scale
    U += scale * X
    cholesky_solve(G.kernel, U, overwrite=True)
    outputs *= -share * A.scale
    xp.multiply(W, share, out=out[0])
    add_product(left, right[:, :d], out[0])
    if A.bias:
        column = right[:, d] @ left
        xp.add(column, 0 if b is None else share * b, out=out[1])
    return out


def _empty(xp, G, A, dtype):
    d = A.dim - A.bias
    return xp.empty((G.dim, d), dtype), xp.empty(G.dim, dtype) if A.bias else None
