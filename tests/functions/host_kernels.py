"""Runs the body of an elementwise kernel for a GPU on the host, compiled as plain C++."""
import ctypes
import shutil
import subprocess

import numpy as np

COMPILER = shutil.which('c++') or shutil.which('g++') or shutil.which('clang++')

_TYPES = {'int32': 'int', 'T': 'float'}

_PROGRAM = '''
#include <cstddef>
typedef float T;
extern "C" void run({parameters}, T *results, long long count) {{
  for (ptrdiff_t i = 0; i < count; ++i) {{
    T &{result} = results[i];
    {body}
  }}
}}
'''


def elementwise(folder):
    """What stands in for ``chainer.backends.cuda.elementwise``; builds in ``folder``.

    The last argument of a call is the output, C-contiguous float32. Undefined behaviour, an
    overflow of an index among it, ends the process.
    """
    def make(in_params, out_params, body, name):
        parameters = []
        for text in in_params.split(','):
            *raw, kind, parameter = text.split()
            parameters.append('{}{} {}'.format(_TYPES[kind], '*' if raw else '', parameter))
        source = folder / (name + '.cpp')
        library = folder / (name + '.so')
        if not library.exists():
            source.write_text(_PROGRAM.format(
                parameters=', '.join(parameters), result=out_params.split()[-1], body=body))
            subprocess.run([COMPILER, '-O1', '-fsanitize=undefined', '-fno-sanitize-recover',
                            '-shared', '-fPIC', str(source), '-o', str(library)], check=True)
        function = ctypes.CDLL(str(library)).run

        def call(*args):
            *inputs, out = args
            assert out.flags.c_contiguous
            assert out.dtype == np.float32
            given = [ctypes.c_void_p(each.ctypes.data) if isinstance(each, np.ndarray)
                     else ctypes.c_int(each) for each in inputs]
            function(*given, ctypes.c_void_p(out.ctypes.data), ctypes.c_longlong(out.size))

        return call

    return make
