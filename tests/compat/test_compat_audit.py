"""The audit of CuPy's names; CuPy itself is only there where its wheel is installed."""
import importlib.util
import re
from pathlib import Path

import pytest

from chainer_kfac.compat import audit, names

PAGE = Path(__file__).parents[2] / 'docs/compat.md'
needs_cupy = pytest.mark.skipif(importlib.util.find_spec('cupy') is None,
                                reason='no GPU, and CuPy is not installed')

SOURCE = '''
import cupy
import cupy as cp
from chainer.backends import cuda
import chainer.backends.cuda
from cupy.cuda import nccl as n

lib = cuda.cupy

class A:
    def f(self, x, device):
        xp = chainer.backend.get_array_module(x)
        a = xp.exp(self.xp.random.normal(size=3))
        lib.linalg.inv(cuda.cupyx.scatter_add)
        cuda.cudnn.get_handle()
        cuda.libcudnn.getVersion()
        cuda.elementwise('a', 'b', 'c')(x.xp)
        chainer.cuda.cupy.ones(1)
        backend.get_array_module(x).maximum(a, 0)
        require('cupy.cublas', 'x').syrk(n.NcclCommunicator)
        return chainer.backends.cuda.Device, cp.zeros, device.xp.sin
'''


def test_names_are_found_behind_their_aliases():
    assert set(names.used_in(SOURCE)) == {
        'cupy.cuda.nccl', 'cupy.exp', 'cupy.random.normal', 'cupy.linalg.inv',
        'cupyx.scatter_add', 'cupy.cudnn.get_handle', 'cupy.cuda.cudnn.getVersion', 'cupy.ones',
        'cupy.maximum', 'cupy.cublas.syrk', 'cupy.cuda.nccl.NcclCommunicator',
        'cupy.cuda.Device', 'cupy.zeros', 'cupy.sin'}


def test_the_page_covers_every_name_in_use():
    """A new name of CuPy wants a new audit: make cupy-audit."""
    looked_up = set(re.findall(r'^\| `([^`]+)`', PAGE.read_text(), re.MULTILINE))
    assert set(audit.used()) - looked_up == set()
    assert '**missing**' not in PAGE.read_text()


def test_a_name_that_is_neither_there_nor_explained_fails(monkeypatch):
    monkeypatch.setattr(audit, 'used', lambda: {'json.dumps': ['a:1'], 'json.gone': ['a:2'],
                                                'json.old': ['a:3']})
    monkeypatch.setattr(audit, 'ABSENT', {'json.old': 'nobody calls it', 'json.dum*': 'stale'})
    rows, complaints = audit.report()
    assert len(rows) == 3
    assert len(complaints) == 2
    assert 'json.gone is missing' in complaints[0]
    assert 'json.dum*' in complaints[1]


@needs_cupy
def test_every_name_is_accounted_for():
    assert audit.main([]) == 0
