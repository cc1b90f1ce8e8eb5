"""NumPy names that Chainer and the programs of its time use, and that NumPy has removed.

NumPy 1.24 removed the aliases of Python's own types (``numpy.float``), NumPy 2.0 the duplicate
spellings (``numpy.Inf``, ``numpy.sctypes``, ``numpy.product``). Chainer itself uses two of them;
a Chainer program written before 2020 may use any. A name that NumPy still has is left alone.
"""
import builtins
import functools
import warnings

from chainer_kfac.compat.patches import Patch

_PYTHON_TYPES = ('int', 'float', 'complex', 'bool', 'object', 'str')
_RENAMED = {
    'long': 'int_', 'unicode': 'str_',
    'float_': 'float64', 'complex_': 'complex128', 'singlecomplex': 'complex64',
    'cfloat': 'complex128', 'longfloat': 'longdouble', 'longcomplex': 'clongdouble',
    'clongfloat': 'clongdouble', 'string_': 'bytes_', 'unicode_': 'str_',
    'Inf': 'inf', 'Infinity': 'inf', 'infty': 'inf', 'PINF': 'inf', 'NaN': 'nan',
    'alltrue': 'all', 'sometrue': 'any', 'product': 'prod', 'cumproduct': 'cumprod',
    'round_': 'round', 'row_stack': 'vstack', 'trapz': 'trapezoid', 'mat': 'asmatrix',
}
_CHAINER_USES = {
    'sctypes': 'chainer.functions.array.as_strided reads it when Chainer is imported',
    'float': 'chainer.functions.resize_images uses it as a dtype',
}


def _sctypes(numpy):
    return {
        'int': [numpy.int8, numpy.int16, numpy.int32, numpy.int64],
        'uint': [numpy.uint8, numpy.uint16, numpy.uint32, numpy.uint64],
        'float': [numpy.float16, numpy.float32, numpy.float64, numpy.longdouble],
        'complex': [numpy.complex64, numpy.complex128, numpy.clongdouble],
        'others': [bool, object, bytes, str, numpy.void],
    }


def _asfarray(numpy):
    def asfarray(a, dtype=numpy.float64):
        """``numpy.asarray`` with a floating dtype, as NumPy 1 had it."""
        if not numpy.issubdtype(numpy.dtype(dtype), numpy.inexact):
            dtype = numpy.float64
        return numpy.asarray(a, dtype=dtype)
    return asfarray


def _in1d(numpy):
    def in1d(ar1, ar2, assume_unique=False, invert=False):
        """``numpy.isin`` on flattened arrays, as NumPy 1 had it."""
        return numpy.isin(numpy.ravel(ar1), ar2, assume_unique=assume_unique, invert=invert)
    return in1d


def _values(numpy):
    """Every removed name with a function that makes its value."""
    table = {name: functools.partial(getattr, builtins, name) for name in _PYTHON_TYPES}
    table.update({old: functools.partial(getattr, numpy, new)
                  for old, new in _RENAMED.items() if new in vars(numpy)})
    table.update(
        NINF=lambda: -numpy.inf, PZERO=lambda: 0.0, NZERO=lambda: -0.0,
        asscalar=lambda: lambda a: a.item(),
        sctypes=lambda: _sctypes(numpy), asfarray=lambda: _asfarray(numpy),
        in1d=lambda: _in1d(numpy))
    return table


def _restore(name):
    import numpy
    with warnings.catch_warnings():           # NumPy 1.20 to 1.25 warn of a look at some names
        warnings.simplefilter('ignore')
        if hasattr(numpy, name) or name not in (values := _values(numpy)):
            return False
    setattr(numpy, name, values[name]())
    return True


def _names():
    return sorted({*_PYTHON_TYPES, *_RENAMED, 'NINF', 'PZERO', 'NZERO', 'asscalar', 'sctypes',
                   'asfarray', 'in1d'})


def patches(module, after=False):
    """One patch a name.

    Args:
        module (str): the module whose import brings the names back: ``'chainer'``, so that only
            processes that use Chainer are touched, or ``'numpy'`` itself.
        after (bool): when the body of ``module`` has run, and not before.
    Returns:
        list of Patch.
    """
    when = 'after' if after else 'before'
    return [Patch('numpy.' + name, module,
                  _CHAINER_USES.get(name, 'programs written for NumPy 1 use it'),
                  **{when: functools.partial(_restore, name)})
            for name in _names()]
