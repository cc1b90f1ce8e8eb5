"""Kronecker factors A and G of linear and convolution layers, from plain arrays.

A = (1/N) sum_n sum_t a a^T and G = 1/(N T) sum_n sum_t g g^T over N examples and the T positions
at which the layer's weights meet an example; a ends with a 1 if the layer has a bias, and g is the
gradient of one example's loss. Backpropagation of a mean loss yields g / N, which is undone here,
as is the scale of a scaled loss. Convolutions: arXiv:1602.01407 with that scaling.
"""
import chainer
import numpy as np

from chainer_kfac.fisher.autocorrelation import patch_second_moment
from chainer_kfac.functions import threads
from chainer_kfac.linalg import mirror_lower, single_threaded_blas, symmetric_product

_CHUNK_ELEMENTS = 1 << 21
_LANES = 4


def linear_A(x, bias=True, *, batch_size=None):
    """Kronecker factor A of a fully connected layer, (1/N) sum a a^T with a = (x, 1).

    Args:
        x (array, (rows, d_in), float16/32/64): inputs. More rows than examples are positions.
        bias (bool): append the constant 1, so that A covers the bias.
        batch_size (int or None): the examples N; by default every row is one.
    Returns:
        array, (d_in + bias, d_in + bias), float32 or wider: new memory, symmetric.
    Raises:
        ValueError: if ``x`` is not two-dimensional or has no rows.
    """
    rows, d_in = _check_rows(x)
    x = at_least_float32(x)
    scale = 1.0 / (batch_size or rows)
    if not bias:
        return symmetric_product(x, scale=scale)
    xp = chainer.backend.get_array_module(x)
    factor = xp.empty((d_in + 1, d_in + 1), x.dtype)
    factor[:-1, :-1] = symmetric_product(x, scale=scale)
    factor[-1, :-1] = factor[:-1, -1] = x.sum(axis=0) * scale
    factor[-1, -1] = rows * scale
    return factor


def linear_G(gy, *, batch_size=None, loss_scale=None):
    """Kronecker factor G of a fully connected layer, 1/(N T) sum g g^T.

    Args:
        gy (array, (rows, d_out), float16/32/64): gradient of the mean loss at the outputs.
        batch_size (int or None): the examples N; by default every row is one.
        loss_scale (float or None): factor that the loss was multiplied by.
    Returns:
        array, (d_out, d_out), float32 or wider: new memory, symmetric.
    Raises:
        ValueError: if ``gy`` is not two-dimensional or has no rows.
    """
    rows, _ = _check_rows(gy)
    return symmetric_product(
        at_least_float32(gy), scale=gradient_scale(rows, batch_size or rows, loss_scale))


def conv_A(x, ksize, stride=1, pad=0, dilate=1, groups=1, bias=True, *, workspace=None):
    """Kronecker factor A of a convolution, (1/N) sum over examples and positions of a a^T.

    Args:
        x (array, (N, C, h, w), float16/32/64): inputs.
        ksize, stride, pad, dilate (int or pair of int): vertical, horizontal.
        groups (int): groups of channels convolved apart; each has its own factor.
        bias (bool): append the constant 1 to each patch.
        workspace (Workspace or None): scratch memory and tables to reuse from call to call.
    Returns:
        array, (m, m), or (groups, m, m) if ``groups`` > 1, with m = C / groups * kh * kw + bias in
        the order of ``W.reshape(n_out, -1)``, then the bias; float32 or wider, symmetric.
    Raises:
        ValueError: if ``x`` is not four-dimensional, has no examples, or the kernel does not fit.
    """
    _check_images(x, groups)
    moments = patch_second_moment(
        at_least_float32(x), ksize, stride, pad, dilate, groups, bias, workspace=workspace)
    return moments[0] if groups == 1 else moments


def conv_G(gy, groups=1, *, loss_scale=None):
    """Kronecker factor G of a convolution, 1/(N T) sum over examples and positions of g g^T.

    Args:
        gy (array, (N, C, h, w), float16/32/64): gradient of the mean loss at the outputs.
        groups (int): groups of channels convolved apart; each has its own factor.
        loss_scale (float or None): factor that the loss was multiplied by.
    Returns:
        array, (n, n), or (groups, n, n) if ``groups`` > 1, with n = C / groups; float32 or wider.
    Raises:
        ValueError: if ``gy`` is not four-dimensional or has no examples.
    """
    _check_images(gy, groups)
    examples, _, h, w = gy.shape
    scale = gradient_scale(examples * h * w, examples, loss_scale)
    return _stack([_channel_product(part, scale)
                   for part in _split_channels(at_least_float32(gy), groups)])


def gradient_scale(rows, batch_size, loss_scale=None):
    """The s of G = s * gy^T gy when gy is the gradient of a batch's mean loss.

    g = N gy / loss_scale, and G divides by N T = rows: s = N^2 / (rows * loss_scale^2).
    """
    return batch_size ** 2 / rows / (loss_scale or 1.0) ** 2


def at_least_float32(array):
    """``array`` itself, or a float32 copy of a float16 one, whose sums would overflow."""
    return array.astype(np.float32) if array.dtype == np.float16 else array


def _channel_product(x, scale):
    """scale * sum over examples and positions of the outer products of the channels, (C, C).

    Examples are summed in lanes that may run at once, as many whatever the number of threads.
    """
    xp = chainer.backend.get_array_module(x)
    channels = x.shape[1]
    maps = x.reshape(len(x), channels, -1)
    chunk = max(1, _CHUNK_ELEMENTS // max(maps.shape[2], channels) // channels)
    lanes = min(_LANES, -(-len(maps) // chunk)) if xp is np else 1
    totals = xp.zeros((lanes, channels, channels), x.dtype)

    def work(lane):
        for start in range(lane * chunk, len(maps), lanes * chunk):
            _add_channel_products(maps[start:start + chunk], totals[lane])

    with single_threaded_blas():
        threads.run(work, lanes)
    return mirror_lower(totals.sum(axis=0) * x.dtype.type(scale))


def _add_channel_products(maps, total):
    """total += sum over images and positions; maps: (examples, channels, positions)."""
    xp = chainer.backend.get_array_module(maps)
    _, channels, positions = maps.shape
    if positions > 2 * channels:
        # Few channels: image by image, without moving the positions of all images together.
        total += _image_products(maps).sum(axis=0)
    else:
        rows = xp.ascontiguousarray(maps.transpose(0, 2, 1)).reshape(-1, channels)
        symmetric_product(rows, out=total, keep=1.0)


def _image_products(maps):
    """maps maps^T for each image, (N, C, C).

    In two halves, for NumPy would turn a matrix times its own transpose into a rank-k update,
    which at these sizes is slower than the plain product.
    """
    xp = chainer.backend.get_array_module(maps)
    examples, channels, _ = maps.shape
    products = xp.empty((examples, channels, channels), maps.dtype)
    for columns in (slice(0, channels // 2), slice(channels // 2, None)):
        xp.matmul(maps, maps[:, columns].swapaxes(1, 2), out=products[:, :, columns])
    return products


def _check_rows(array):
    if array.ndim != 2 or not len(array):
        raise ValueError('a matrix with at least one row is needed, got shape {}'.format(
            array.shape))
    return array.shape


def _check_images(array, groups):
    if array.ndim != 4 or not len(array):
        raise ValueError('images (N, C, h, w) with N >= 1 are needed, got shape {}'.format(
            array.shape))
    if array.shape[1] % groups:
        raise ValueError('{} channels do not split into {} groups'.format(array.shape[1], groups))


def _split_channels(x, groups):
    width = x.shape[1] // groups
    return [x[:, start:start + width] for start in range(0, x.shape[1], width)]


def _stack(moments):
    if len(moments) == 1:
        return moments[0]
    return chainer.backend.get_array_module(moments[0]).stack(moments)
