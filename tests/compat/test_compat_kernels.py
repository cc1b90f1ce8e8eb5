"""Every CUDA kernel in Chainer's source and in ours compiles with CuPy's compiler; no GPU needed.

The kernels are found in the syntax tree: calls of ``cuda.elementwise`` whose arguments are
constants. Each is compiled for single and double precision, and for half precision where Chainer
takes it. Where several types are open, one combination has to compile: index arrays are integers.
"""
import ast
import importlib
import importlib.util
import itertools
import re
from pathlib import Path

import chainer
import numpy as np
import pytest

import chainer_kfac  # (patches the kernels that need it)

if importlib.util.find_spec('cupy') is None:
    pytest.skip('no GPU, and CuPy is not installed', allow_module_level=True)

import cupy
from cupy._core import _carray, _kernel
from cupy_backends.cuda.libs import nvrtc

SINGLE_ONLY = {'resize_images', 'roi_average_align_2d', 'roi_max_align_2d', 'negative_sampling',
               'hierarchical_softmax', 'adam', 'multiprocess_parallel_updater'}
"""Modules whose kernels never see float16 arithmetic: they take float32, or compute in it."""

INCLUDE = Path(cupy.__file__).parent / '_core/include'
HEADERS = ''.join('#include <cupy/{}>\n'.format(name) for name in (
    'complex.cuh', 'carray.cuh', 'atomics.cuh', 'math_constants.h'))


def constant_kernels():
    """``(module, line, arguments, keywords)`` of the elementwise kernels."""
    roots = [Path(package.__file__).parent for package in (chainer, chainer_kfac)]
    sources = [(root, path) for root in roots for path in sorted(root.rglob('*.py'))]
    for root, path in sources:
        name = '.'.join(path.relative_to(root.parent).with_suffix('').parts)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith('cuda.elementwise'):
                names = vars(importlib.import_module(name.removesuffix('.__init__')))
                try:
                    arguments = [_evaluate(argument, names) for argument in node.args]
                    keywords = {item.arg: _evaluate(item.value, names) for item in node.keywords}
                except NameError:
                    continue                  # made of local variables
                yield pytest.param(name, arguments, keywords, id='{}:{}'.format(name, node.lineno))


def _evaluate(node, names):
    return eval(compile(ast.Expression(node), '<kernel>', 'eval'), dict(names))


def source(kernel, keywords, types, ndim):
    """The CUDA source for arrays of ``types`` (letter -> dtype); raw ones have ``ndim`` axes."""
    infos = []
    for parameter in kernel.params:
        if parameter.name == '_ind':
            infos.append(_kernel._ArgInfo(2, _carray.Indexer, None, 1, True, True))
        else:
            dtype = parameter.dtype or types[parameter.ctype]
            axes = ndim if parameter.raw else 1
            infos.append(_kernel._ArgInfo(1, cupy.ndarray, dtype, axes, True, True))
    return _kernel._get_elementwise_kernel_code(
        tuple(infos), _kernel._TypeMap(tuple(types.items())), kernel.params, kernel.operation,
        'kernel', kernel.preamble, keywords.get('loop_prep', ''), keywords.get('after_loop', ''),
        ())


def compile_log(code):
    """What the compiler says, or '' if it is content."""
    folders = [INCLUDE]
    folders += [INCLUDE / 'cupy/_cccl' / part for part in ('libcudacxx', 'thrust', 'cub')]
    cuda = importlib.util.find_spec('nvidia')
    folders += [folder for root in (cuda.submodule_search_locations if cuda else ())
                for folder in Path(root).glob('*/include')]
    program = nvrtc.createProgram(HEADERS + code, 'kernel.cu', [], [])
    try:
        nvrtc.compileProgram(program, ['--gpu-architecture=compute_75', '-std=c++17', '-DCUPY=1',
                                       '--device-as-default-execution-space',
                                       *('-I{}'.format(folder) for folder in folders)])
    except nvrtc.NVRTCError:
        return nvrtc.getProgramLog(program)
    finally:
        nvrtc.destroyProgram(program)
    return ''


def errors(arguments, keywords, dtype):
    """'' if the kernel compiles for some choice of its types with ``dtype`` for T."""
    in_params, out_params, operation, _ = arguments
    if re.search(r'\bfloat16\b', operation):
        keywords = dict(keywords, preamble='#include <cupy/float16.cuh>\n')    # as the patch does
    kernel = cupy.ElementwiseKernel(in_params, out_params, operation, 'kernel', **keywords)
    letters = sorted({parameter.ctype for parameter in kernel.params
                      if parameter.dtype is None and parameter.name != '_ind'})
    log = ''
    for chosen in itertools.product((dtype, np.int32, np.float32, np.uint64), repeat=len(letters)):
        types = dict(zip(letters, chosen))
        if letters and dtype not in chosen and np.uint64 not in chosen:
            continue
        for ndim in (1, 2, 3):
            log = compile_log(source(kernel, keywords, types, ndim))
            if not log:
                return ''
    return log


@pytest.mark.parametrize(('name', 'arguments', 'keywords'), list(constant_kernels()))
@pytest.mark.parametrize('dtype', [np.float16, np.float32, np.float64], ids=lambda t: t.__name__)
def test_kernel_compiles(name, arguments, keywords, dtype):
    if dtype is np.float16 and name.rpartition('.')[2] in SINGLE_ONLY:
        return
    assert errors(arguments, keywords, dtype) == ''


def test_the_kernels_that_pack_gradients_compile(monkeypatch):
    utility = importlib.import_module('chainermn.communicators._memory_utility')
    monkeypatch.setattr(cupy, 'RawKernel', lambda code, name: code)
    for make in (utility._cupy_batched_pack_params, utility._cupy_batched_unpack_params):
        assert compile_log(make()) == ''


def test_the_compiler_finds_what_is_wrong():
    assert 'undefined' in compile_log('__global__ void f() { half *x; }')
