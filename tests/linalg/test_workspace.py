"""Scratch memory is reused, never shared between keys, and grows when it must."""
import numpy as np

from chainer_kfac.linalg import Workspace
from chainer_kfac.linalg.workspace import TABLES


def test_memory_is_reused(xp):
    workspace = Workspace()
    first = workspace.take('a', (4, 5), 'f', xp)
    assert first.shape == (4, 5)
    assert first.dtype == np.float32
    assert first.flags.c_contiguous
    first[...] = 7
    again = workspace.take('a', (2, 10), 'f', xp)
    assert float(again.min()) == 7
    smaller = workspace.take('a', (3,), 'f', xp)
    smaller[...] = 1
    assert float(first[0, 0]) == 1


def test_keys_and_dtypes_are_apart(xp):
    workspace = Workspace()
    arrays = [workspace.take(key, (3,), dtype, xp) for key in 'ab' for dtype in 'fd']
    for value, array in enumerate(arrays):
        array[...] = value
    assert [float(array[0]) for array in arrays] == [0, 1, 2, 3]


def test_it_grows(xp):
    workspace = Workspace()
    small = workspace.take('a', (3,), 'f', xp)
    small[...] = 1
    large = workspace.take('a', (5, 5), 'f', xp)
    large[...] = 2
    assert float(small.max()) == 1
    assert workspace.take('empty', (0, 3), 'f', xp).shape == (0, 3)


def test_tables_are_made_once():
    workspace = Workspace()
    made = [workspace.keep(key, object) for key in (1, 2, 1)]
    assert made[0] is made[2]
    assert made[0] is not made[1]


def test_only_the_tables_asked_for_last_are_kept():
    workspace = Workspace()
    first, second = (workspace.keep(key, object) for key in ('first', 'second'))
    for key in range(TABLES - 1):
        workspace.keep(key, object)
        assert workspace.keep('first', object) is first
    assert workspace.keep('second', object) is not second
