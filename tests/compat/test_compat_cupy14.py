"""The patches for CuPy 14, on a stand-in for it: there is no GPU to run kernels on."""
import sys
import types

import numpy as np
import pytest

from chainer_kfac.compat import cupy14


@pytest.fixture
def cuda(monkeypatch):
    """What ``chainer.backends.cuda`` looks like with CuPy 14; kernels are their arguments."""
    module = types.SimpleNamespace(
        available=True, cupy=types.SimpleNamespace(__version__='14.2.0'),
        elementwise=lambda *args, **kwargs: (args, kwargs),
        reduce=lambda *args, **kwargs: (args, kwargs),
        raw=lambda code, name, *args, **kwargs: code,
        check_cuda_available=types.SimpleNamespace())
    monkeypatch.setitem(sys.modules, 'chainer.backends.cuda', module)
    return module


def test_kernels_that_name_half_precision_get_its_header(cuda):
    assert cupy14.half_precision_in_kernels()
    header = '#include <cupy/float16.cuh>\n'
    assert cuda.raw('half* x;', 'k').startswith(header)
    assert cuda.raw('float* half_way;', 'k') == 'float* half_way;'
    _, keywords = cuda.elementwise('raw T x', '', '(float16 *)x;', 'k', preamble='int f;')
    assert keywords == {'preamble': header + 'int f;'}
    arguments, keywords = cuda.elementwise('T x', 'T y', 'y = x', 'k', loop_prep='')
    assert arguments == ('T x', 'T y', 'y = x', 'k')
    assert keywords == {'loop_prep': ''}


def test_an_older_cupy_is_left_alone(cuda):
    cuda.cupy.__version__ = '7.8.0'
    before = vars(cuda).copy()
    assert not cupy14.half_precision_in_kernels()
    assert vars(cuda) == before


def test_no_advice_to_install_cudnn(cuda, monkeypatch):
    monkeypatch.setattr(cupy14.importlib.util, 'find_spec', lambda name: None)
    assert cupy14.no_cudnn_advice()
    assert cuda.check_cuda_available._already_warned
    cuda.available = False
    assert not cupy14.no_cudnn_advice()


class Buffer:
    """Communication buffer: hands out consecutive bytes of ``content``."""

    def __init__(self, content):
        self._content = content.tobytes()

    def to_device(self, target, size, offset, stream):
        target[...] = np.frombuffer(
            self._content[offset:offset + size], target.dtype).reshape(target.shape)


def test_unpack_params_converts_what_arrives_in_another_dtype(monkeypatch):
    module = types.SimpleNamespace(
        _cupy_avail=True, cp=types.SimpleNamespace(__version__='14.2.0'),
        unpack_params=types.SimpleNamespace(__doc__='doc'))
    monkeypatch.setitem(sys.modules, 'chainermn.communicators._memory_utility', module)
    assert cupy14.unpack_params_with_copy()
    params = [types.SimpleNamespace(xp=np, data=np.zeros(2, 'f2'), grad=np.zeros(2, 'f2')),
              types.SimpleNamespace(xp=np, data=np.zeros((1, 2), 'f4'), grad=None)]
    kept = params[0].grad
    module.unpack_params(params, 'grad', Buffer(np.arange(4, dtype='f4')), np.float32, True)
    assert params[0].grad is kept
    np.testing.assert_array_equal(params[0].grad, np.array([0, 1], 'f2'))
    np.testing.assert_array_equal(params[1].grad, np.array([[2, 3]], 'f4'))
    assert params[0].grad.dtype == np.float16
