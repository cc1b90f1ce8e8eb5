"""What CuPy 14 no longer does as Chainer's GPU code expects.

``python -m chainer_kfac.compat.audit`` looks up every name of CuPy that Chainer and ChainerMN use
in the installed CuPy; ``docs/compat.md`` has the result.
"""
import importlib.util
import sys

from chainer_kfac.compat.patches import Patch


def no_cudnn_advice():
    """Silence "cuDNN is not enabled. Please reinstall CuPy after you install cudnn"."""
    cuda = sys.modules['chainer.backends.cuda']
    if not cuda.available or importlib.util.find_spec('cupy.cudnn') is not None:
        return False
    cuda.check_cuda_available._already_warned = True
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
        Patch('unpack_params', 'chainermn.communicators._memory_utility',
              'copy=False means "never copy" since CuPy 14, and gradients that travel in another '
              'dtype must be copied', after=unpack_params_with_copy),
    ]
