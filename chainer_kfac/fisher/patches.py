"""The patches a convolution sees, as rows: the definition that every faster form must equal."""
import chainer


def pair(value):
    """An int or a pair of ints as a pair (vertical, horizontal)."""
    if isinstance(value, (tuple, list)):
        vertical, horizontal = value
        return int(vertical), int(horizontal)
    return int(value), int(value)


def out_size(size, ksize, stride, pad, dilate):
    """Output positions of a convolution along one axis (Chainer's, without ``cover_all``)."""
    return (size + 2 * pad - dilate * (ksize - 1) - 1) // stride + 1


def im2col(x, ksize, stride=1, pad=0, dilate=1):
    """Patches of a batch of images, one per row, as `Convolution2D` multiplies them by W.

    Args:
        x (array, (N, C, h, w)): numpy or CuPy.
        ksize, stride, pad, dilate (int or pair of int): vertical, horizontal.
    Returns:
        array, (N * oh * ow, C * kh * kw), dtype of ``x``: new memory; rows ordered by example,
        row, column, and their elements as ``W.reshape(n_out, -1)``: channel, then kernel place.
    Raises:
        ValueError: if the kernel does not fit in the padded image.
    """
    view = patch_view(x, ksize, stride, pad, dilate)
    n, oh, ow, c, kh, kw = view.shape
    xp = chainer.backend.get_array_module(x)
    return xp.array(view, order='C').reshape(n * oh * ow, c * kh * kw)


def patch_view(x, ksize, stride=1, pad=0, dilate=1):
    """`im2col` as a strided view (N, oh, ow, C, kh, kw) of a padded copy of ``x``."""
    (kh, kw), (sy, sx), (ph, pw), (dy, dx) = map(pair, (ksize, stride, pad, dilate))
    n, c, h, w = x.shape
    oh, ow = out_size(h, kh, sy, ph, dy), out_size(w, kw, sx, pw, dx)
    if oh < 1 or ow < 1:
        raise ValueError('a kernel {} dilated by {} does not fit in images {} padded by {}'.format(
            (kh, kw), (dy, dx), (h, w), (ph, pw)))
    xp = chainer.backend.get_array_module(x)
    if ph or pw:
        x = xp.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    step_n, step_c, step_y, step_x = x.strides
    return xp.lib.stride_tricks.as_strided(
        x, (n, oh, ow, c, kh, kw),
        (step_n, step_y * sy, step_x * sx, step_c, step_y * dy, step_x * dx))
