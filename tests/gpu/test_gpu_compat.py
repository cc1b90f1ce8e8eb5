"""The parts of Chainer's and ChainerMN's GPU side that `compat` patches, on a card."""
import importlib

import chainer
import numpy as np
import pytest
from chainer.backends import cuda

from chainer_kfac import compat

pytestmark = pytest.mark.gpu


@pytest.fixture
def utility():
    """ChainerMN's packing of gradients, which imports MPI."""
    pytest.importorskip('mpi4py.MPI', exc_type=ImportError)
    return importlib.import_module('chainermn.communicators._memory_utility')


def test_the_patches_of_cupy_are_applied(utility):
    names = {patch.name for patch in compat.applied()}
    assert {'float16 and half in kernels', 'unpack_params'} <= names


def test_elementwise_kernels_may_name_half():
    x = cuda.cupy.arange(4, dtype=np.float16)
    y = cuda.elementwise('T x', 'T y', 'y = (T)((float16)x * (float16)2.0f)', 'test_half')(x)
    assert y.tolist() == [0, 2, 4, 6]


def test_reductions_may_name_half():
    x = cuda.cupy.ones(5, np.float32)
    total = cuda.reduce('T x', 'T y', '(float)(float16)x', 'a + b', 'y = a', '0', 'test_half_sum')
    assert float(total(x)) == 5


def test_raw_kernels_may_name_half():
    kernel = cuda.raw('extern "C" __global__ void f(half *x) { x[threadIdx.x] = x[threadIdx.x]; }',
                      'f')
    x = cuda.cupy.arange(3, dtype=np.float16)
    kernel((1,), (3,), (x,))
    assert x.tolist() == [0, 1, 2]


@pytest.mark.parametrize('wire', [np.float16, np.float32])
def test_gradients_travel_packed(utility, wire):
    """There and back through one buffer, in the type of the wire, with and without the kernels."""
    cupy = cuda.cupy
    params = []
    for shape in ((3, 4), (5,), (2, 1, 2)):
        param = chainer.Parameter(np.zeros(shape, np.float32))
        param.to_gpu()
        param.grad = cupy.asarray(np.random.default_rng(0).integers(-9, 9, shape), np.float32)
        params.append(param)
    before = [param.grad.copy() for param in params]
    size = sum(param.size for param in params) * np.dtype(wire).itemsize
    buffer = utility.DeviceMemory()
    buffer.assign(size)
    utility.pack_params(params, 'grad', buffer, wire, False)
    for param in params:
        param.grad[...] = np.nan
    utility.unpack_params(params, 'grad', buffer, wire, False)
    for param, expected in zip(params, before, strict=True):
        assert bool((param.grad == expected).all())


def test_batched_packing_kernels(utility):
    cupy = cuda.cupy
    params = [chainer.Parameter(np.zeros(shape, np.float32)) for shape in ((3, 4), (5,))]
    for param in params:
        param.to_gpu()
        param.grad = cupy.arange(param.size, dtype=np.float32).reshape(param.shape)
    before = [param.grad.copy() for param in params]
    count = sum(param.size for param in params)
    buffer = utility.DeviceMemory()
    buffer.assign(count * 2)
    data = utility.ParamsData(params, 'grad', False)
    stream = cupy.cuda.Stream.null
    utility._batched_pack_params(data, buffer, np.dtype(np.float16), stream=stream)
    for param in params:
        param.grad[...] = np.nan
    utility._batched_unpack_params(data, buffer, np.dtype(np.float16), stream=stream)
    for param, expected in zip(params, before, strict=True):
        assert bool((param.grad == expected).all())


def test_there_is_no_cudnn_and_nobody_asks_for_it():
    assert not cuda.cudnn_enabled
    with chainer.using_config('use_cudnn', 'auto'):
        assert not chainer.should_use_cudnn('>=auto')
