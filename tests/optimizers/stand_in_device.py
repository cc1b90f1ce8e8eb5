"""A device in host memory: arrays as CuPy's, whose numbers the host reads only where it is counted.

Within `device` this package takes arrays of the class `DeviceArray` for CuPy's, goes the ways that
it goes on a GPU, and every way in which Python can look at one of their numbers is counted with the
line that did so. Chainer itself goes on computing with NumPy, and what comes of it stays on the
"device". What it cannot find is a NumPy function that takes such an array for one of its own.
"""
import collections
import contextlib
import sys
import types
from unittest import mock

import chainer
import numpy as np
import stand_in_gpu

from chainer_kfac.linalg import gpu, triangle

READING = ('item', 'tolist', '__bool__', '__int__', '__float__', '__complex__', '__index__')
SCALAR = ('sum', 'any', 'all', 'max', 'min', 'mean', 'trace', 'dot', '__getitem__', 'clip')
"""Methods for which NumPy may return a scalar where CuPy has an array of shape ()."""


class DeviceArray(stand_in_gpu.DeviceArray):
    """Every result is one of them, never a scalar."""

    reads = collections.Counter()

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **kwargs):
        if out is not None:
            kwargs['out'] = tuple(map(to_host, out))
        result = getattr(ufunc, method)(*map(to_host, inputs), **{
            name: to_host(value) for name, value in kwargs.items()})
        return out[0] if out is not None else to_device(result)

    def __array_function__(self, function, types, args, kwargs):
        return on_device(function)(*args, **kwargs)


def _counted(name):
    def method(self, *args):
        place = _place()
        if place:
            DeviceArray.reads[place] += 1
        return getattr(to_host(self), name)(*args)
    return method


def _kept(name):
    def method(self, *args, **kwargs):
        return to_device(getattr(np.ndarray, name)(self, *args, **kwargs))
    return method


for _name in READING:
    setattr(DeviceArray, _name, _counted(_name))
for _name in SCALAR:
    setattr(DeviceArray, _name, _kept(_name))


def _place():
    """The line of this package that asks, or None if NumPy, Chainer or a test does."""
    frame = sys._getframe(2)
    while frame.f_code.co_filename == __file__:
        frame = frame.f_back
    _, is_ours, name = frame.f_code.co_filename.rpartition('/chainer_kfac/')
    return '{}:{}'.format(name, frame.f_lineno) if is_ours else None


def to_host(value):
    """Plain NumPy arrays in the place of device arrays, in sequences too; the same memory."""
    if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        return type(value)(map(to_host, value))
    return value.view(np.ndarray) if isinstance(value, DeviceArray) else value


def to_device(value):
    """The other way; scalars become arrays of shape ()."""
    if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        return type(value)(map(to_device, value))
    return np.asarray(value).view(DeviceArray) if isinstance(
        value, (np.ndarray, np.generic)) else value


def on_device(function):
    """A function of NumPy as one of the device."""
    def wrapper(*args, **kwargs):
        out = kwargs.get('out')
        result = function(*to_host(args), **{
            name: to_host(value) for name, value in kwargs.items()})
        return to_device(result) if out is None else out
    return wrapper


class Module:
    """A module of NumPy, with functions that return arrays of the device."""

    def __init__(self, module):
        self._module = module
        self.__name__ = 'cupy'
        self.cuda = types.SimpleNamespace(device=types.SimpleNamespace(
            get_cusolver_handle=lambda: 'solver', get_cublas_handle=lambda: 'blas'))

    def __getattr__(self, name):
        value = getattr(self._module, name)
        if isinstance(value, types.ModuleType):
            return Module(value)
        return on_device(value) if callable(value) and not isinstance(value, type) else value


xp = Module(np)


def module_of(*args):
    """`chainer.backend.get_array_module`, for this package; to Chainer all is NumPy's."""
    arrays = [arg.array if isinstance(arg, chainer.Variable) else arg for arg in args]
    ours = '/chainer_kfac/' in sys._getframe(1).f_code.co_filename
    return xp if ours and any(isinstance(each, DeviceArray) for each in arrays) else np


def fetch(array, stream=None):
    """`cuda.to_cpu`, which waits."""
    if isinstance(array, DeviceArray):
        DeviceArray.reads[_place()] += 1
    return to_host(array)


def kernel(in_params, out_params, operation, name, **options):
    """The elementwise kernels of a step."""
    return {'kfac_finite': _finite, 'kfac_momentum': _momentum}[name]


def _finite(array, flag):
    to_host(flag)[0] &= np.isfinite(to_host(array)).all()


def _momentum(direction, lr, momentum, condition, param, v):
    direction, condition, param, v = map(to_host, (direction, condition, param, v))
    if condition:
        v[...] = momentum * v - lr * direction
        param += v


def _syrk(trans, x, *, out, alpha, beta, lower):
    assert (trans, lower) == ('T', True)
    x, out = to_host(x), to_host(out)
    product = alpha * (x.T @ x) + (beta * out if beta else 0)
    out[np.tril_indices(len(out))] = product[np.tril_indices(len(out))]


def _mirror(n, matrix, size):
    matrix = to_host(matrix)
    matrix[...] = np.tril(matrix) + np.tril(matrix, -1).T


_apply = chainer.FunctionNode.apply


def apply(node, inputs):
    """`FunctionNode.apply`, with outputs on the device if an input is there."""
    outputs = _apply(node, inputs)
    if any(isinstance(chainer.as_array(each), DeviceArray) for each in inputs):
        for output in outputs:
            output.array = to_device(output.array)
    return outputs


def _pack(n, matrix, flat, size):
    to_host(flat)[...] = to_host(matrix)[np.triu_indices(n)]


@contextlib.contextmanager
def device():
    """Let this package take device arrays for CuPy's; gives the counter of reads by line."""
    libraries = {**stand_in_gpu.libraries(), 'cupy.cublas': types.SimpleNamespace(syrk=_syrk)}
    kernels = {'mirror': _mirror, 'pack': _pack}
    cuda = chainer.backends.cuda
    DeviceArray.reads.clear()
    with mock.patch.object(chainer.backend, 'get_array_module', module_of), \
            mock.patch.object(chainer.FunctionNode, 'apply', apply), \
            mock.patch.object(cuda, 'to_cpu', fetch), \
            mock.patch.object(cuda, 'elementwise', kernel), \
            mock.patch.object(triangle, '_gpu_kernels', return_value=kernels), \
            mock.patch.object(gpu, 'cuda', types.SimpleNamespace(cupy=xp)), \
            mock.patch.object(gpu, 'require', lambda name, purpose: libraries[name]):
        yield DeviceArray.reads


def move(link):
    """Put the parameters of a link on the device."""
    for param in link.params():
        param.array = to_device(param.array)
    return link
