"""What CuPy 14 no longer does as Chainer's GPU code expects.

``python -m chainer_kfac.compat.audit`` looks up every name of CuPy that Chainer and ChainerMN use
in the installed CuPy; ``docs/compat.md`` has the result.
"""
import functools
import importlib.util
import re
import sys

from chainer_kfac.compat.patches import Patch

_HALF = re.compile(r'\b(float16|half)\b')
_HEADER = '#include <cupy/float16.cuh>\n'


def no_cudnn_advice():
    """Silence "cuDNN is not enabled. Please reinstall CuPy after you install cudnn"."""
    cuda = sys.modules['chainer.backends.cuda']
    if not cuda.available or importlib.util.find_spec('cupy.cudnn') is not None:
        return False
    cuda.check_cuda_available._already_warned = True
    return True


def half_precision_in_kernels():
    """``cuda.elementwise``, ``cuda.reduce`` and ``cuda.raw`` of code that names float16 or half.

    CuPy includes the header of both types only where an argument is one, and not in raw kernels.
    """
    cuda = sys.modules['chainer.backends.cuda']
    if not cuda.available or int(cuda.cupy.__version__.partition('.')[0]) < 14:
        return False

    def with_header(make):
        @functools.wraps(make)
        def wrapper(*args, **kwargs):
            if any(_HALF.search(text) for text in args if isinstance(text, str)):
                kwargs['preamble'] = _HEADER + kwargs.get('preamble', '')
            return make(*args, **kwargs)
        return wrapper

    def raw(code, name, *args, **kwargs):
        return make_raw(_HEADER + code if _HALF.search(code) else code, name, *args, **kwargs)

    make_raw = cuda.raw
    cuda.raw = functools.wraps(make_raw)(raw)
    cuda.elementwise, cuda.reduce = with_header(cuda.elementwise), with_header(cuda.reduce)
    return True


def unpack_params_with_copy():
    """``unpack_params`` of ChainerMN, which says ``copy=False`` for "copy if need be"."""
    utility = sys.modules['chainermn.communicators._memory_utility']
    if not utility._cupy_avail or int(utility.cp.__version__.partition('.')[0]) < 14:
        return False

    def unpack_params(params, attr_name, buffer, transfer_dtype, zero_fill, stream=None):
        offset = 0
        for param in params:
            array = getattr(param, attr_name)
            if attr_name == 'grad' and array is None and zero_fill:
                array = param.xp.empty_like(param.data)
                setattr(param, attr_name, array)
            received = array.astype(transfer_dtype, copy=False)
            size = received.size * received.dtype.itemsize
            buffer.to_device(received, size, offset, stream)
            offset += size
            if received is not array:
                # not setattr: an array of ChainerX has to be updated in place
                getattr(param, attr_name)[...] = received.astype(array.dtype)

    unpack_params.__doc__ = utility.unpack_params.__doc__
    utility.unpack_params = unpack_params
    return True


def patches():
    """The patches, each applied just after the module that it changes has been imported.

    Returns:
        list of Patch.
    """
    return [
        Patch('the warning that cuDNN is missing', 'chainer.backends.cuda',
              'CuPy 14 has no cuDNN, so the advice cannot be followed; Chainer has its own kernels '
              'for everything that cuDNN would do', after=no_cudnn_advice),
        Patch('float16 and half in kernels', 'chainer.backends.cuda',
              'CuPy 14 does not include their header by itself: the kernels of ChainerMN that pack '
              'gradients, and of MultiprocessParallelUpdater, do not compile',
              after=half_precision_in_kernels),
        Patch('unpack_params', 'chainermn.communicators._memory_utility',
              'copy=False means "never copy" since CuPy 14, and gradients that travel in another '
              'dtype must be copied', after=unpack_params_with_copy),
    ]
