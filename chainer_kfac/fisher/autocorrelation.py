"""Second moment of the patches of a convolution's input."""
import chainer

from chainer_kfac.fisher.patches import patch_view
from chainer_kfac.linalg import symmetric_product

_CHUNK_ELEMENTS = 1 << 21


def patch_second_moment(x, ksize, stride=1, pad=0, dilate=1, bias=True):
    """(1/N) sum over examples and positions of a a^T, a a patch of ``x`` (with a 1 appended).

    Args:
        x (array, (N, C, h, w), float32/64).
        ksize, stride, pad, dilate (int or pair of int): vertical, horizontal.
        bias (bool): append the constant 1 to each patch.
    Returns:
        array, (m, m) with m = C kh kw + bias: new memory, symmetric, dtype of ``x``.
    Raises:
        ValueError: if the kernel does not fit in the padded image.
    """
    return explicit_second_moment(x, ksize, stride, pad, dilate, bias)


def explicit_second_moment(x, ksize, stride=1, pad=0, dilate=1, bias=True):
    """`patch_second_moment` from the patches themselves, a few examples at a time."""
    xp = chainer.backend.get_array_module(x)
    view = patch_view(x, ksize, stride, pad, dilate)
    examples, oh, ow, c, kh, kw = view.shape
    m = c * kh * kw
    moment = xp.zeros((m, m), x.dtype)
    totals = xp.zeros(m, x.dtype)
    chunk = max(1, _CHUNK_ELEMENTS // (oh * ow * m))
    for start in range(0, examples, chunk):
        rows = view[start:start + chunk].reshape(-1, m)
        symmetric_product(rows, out=moment, scale=1.0 / examples, accumulate=True)
        totals += rows.sum(axis=0)
    return with_bias_row(moment, totals / examples, oh * ow) if bias else moment


def with_bias_row(moment, sums, positions):
    """Second moment of (a, 1) from that of a, the sum of a, and the number of positions."""
    xp = chainer.backend.get_array_module(moment)
    m = len(moment)
    joined = xp.empty((m + 1, m + 1), moment.dtype)
    joined[:m, :m] = moment
    joined[m, :m] = joined[:m, m] = sums
    joined[m, m] = positions
    return joined
