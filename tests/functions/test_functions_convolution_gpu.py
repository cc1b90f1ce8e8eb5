"""The convolution for GPUs, its kernels compiled for the host, against Chainer's own."""
import types
from pathlib import Path

import chainer
import numpy as np
import pytest
from chainer.functions.connection.convolution_2d import Convolution2DFunction
from chainer.utils.conv import get_conv_outsize
from numpy.testing import assert_allclose

from chainer_kfac import functions
from chainer_kfac.functions import convolution_gpu
from chainer_kfac.functions.convolution_plan import Geometry

from .host_kernels import COMPILER, elementwise

pytestmark = pytest.mark.skipif(COMPILER is None, reason='no GPU, and no C++ compiler')

#        images, shape, out, kernel, stride, pad, dilate, cover_all
SHAPES = [(7, (3, 12, 12), 5, (5, 5), (1, 1), (2, 2), (1, 1), False),
          (6, (4, 9, 7), 3, (3, 2), (2, 1), (1, 0), (1, 1), False),
          (5, (2, 11, 13), 4, (3, 3), (1, 1), (2, 2), (2, 2), False),
          (3, (3, 10, 9), 2, (3, 3), (2, 3), (1, 1), (1, 2), True),
          (4, (2, 8, 8), 3, (1, 1), (3, 3), (0, 0), (1, 1), False)]


@pytest.fixture(scope='module')
def kernels(tmp_path_factory):
    return elementwise(Path(tmp_path_factory.mktemp('kernels')))


@pytest.mark.parametrize('elements', [1 << 26, 2000, 1], ids=['at once', 'parts', 'one by one'])
@pytest.mark.parametrize('shape', SHAPES, ids=range(len(SHAPES)))
def test_equals_chainer(shape, elements, kernels, monkeypatch):
    n, (channels, *size), out, kernel, stride, pad, dilate, cover_all = shape
    monkeypatch.setattr(convolution_gpu, 'cuda',
                        types.SimpleNamespace(cupy=np, elementwise=kernels))
    monkeypatch.setattr(convolution_gpu, 'ELEMENTS', elements)
    out_size = tuple(get_conv_outsize(d, k, s, p, cover_all, step) for d, k, s, p, step in zip(
        size, kernel, stride, pad, dilate, strict=True))
    g = Geometry(channels, tuple(size), out, out_size, kernel, stride, pad, dilate, 1)
    random = np.random.default_rng(0)
    x, w, b, gy = (random.standard_normal(s).astype(np.float32) for s in (
        (n, channels, *size), (out, channels, *kernel), out, (n, out, *out_size)))
    variables = [chainer.Variable(array) for array in (x, w, b)]
    with functions.using(False):
        y, = Convolution2DFunction(stride, pad, cover_all, dilate=dilate).apply(variables)
        y.grad = gy
        y.backward()
    assert_allclose(convolution_gpu.convolve(x, w, b, g), y.array, atol=1e-4)
    assert_allclose(convolution_gpu.input_gradient(gy, w, g), variables[0].grad, atol=1e-4)
    gw, gb = convolution_gpu.weight_gradient(x, gy, g)
    assert_allclose(gw, variables[1].grad, atol=1e-3)
    assert_allclose(gb, variables[2].grad, atol=1e-4)
