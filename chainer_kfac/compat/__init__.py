"""Chainer 7.8.1 on today's Python, NumPy and CuPy (stand-in until the real one)."""
import sys
import types

import numpy


def install():
    if not hasattr(numpy, 'sctypes'):
        numpy.sctypes = {
            'int': [numpy.int8, numpy.int16, numpy.int32, numpy.int64],
            'uint': [numpy.uint8, numpy.uint16, numpy.uint32, numpy.uint64],
            'float': [numpy.float16, numpy.float32, numpy.float64],
            'complex': [numpy.complex64, numpy.complex128],
            'others': [bool, object, bytes, str, numpy.void]}
    if 'product' not in numpy.__dict__:
        numpy.product = numpy.prod
    package = types.ModuleType('numpy.distutils')
    module = types.ModuleType('numpy.distutils.system_info')
    module.get_info = lambda *a, **k: {'libraries': ['blas']}
    package.system_info = module
    numpy.distutils = package
    sys.modules['numpy.distutils'] = package
    sys.modules['numpy.distutils.system_info'] = module


install()
