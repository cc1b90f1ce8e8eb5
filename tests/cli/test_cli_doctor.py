"""``chainer-kfac doctor`` says what is there, and what to do about what is not."""
import importlib.util
import shutil
import sys
import types

import pytest

from chainer_kfac import cli, compat
from chainer_kfac.cli import doctor, machine


def absent(monkeypatch, *names):
    """Make it look as if packages and programs were not installed."""
    find, which = importlib.util.find_spec, shutil.which
    monkeypatch.setattr(importlib.util, 'find_spec',
                        lambda name: None if name in names else find(name))
    monkeypatch.setattr(shutil, 'which', lambda name: None if name in names else which(name))


def test_report(capsys):
    assert cli.main(['doctor']) == 0
    out = capsys.readouterr().out
    for word in ('Python', 'Chainer', '7.8.1', 'numpy', 'BLAS', 'threads', 'GPU', 'NCCL', 'MPI',
                 'MongoDB', 'scheduler', 'digits'):
        assert word in out, word
    assert all(len(line) <= 100 for line in out.splitlines())


def test_applied_patches_are_listed():
    machine.chainer()
    finding = machine.patches()
    assert all(patch.name in finding.text for patch in compat.applied())


def test_broken_is_exit_code_2_and_says_what_to_do(monkeypatch, capsys):
    broken = machine.Finding('Chainer', 'broken', 'does not import', 'install it')
    monkeypatch.setattr(machine, 'CHECKS', (lambda: broken,))
    assert cli.main(['doctor']) == 2
    assert '-> install it' in capsys.readouterr().out


@pytest.mark.parametrize(('check', 'names', 'remedy'), [
    (machine.mpi, ('mpi4py',), 'chainer_kfac[mpi]'),
    (machine.mongodb, ('pymongo',), 'chainer_kfac[search]'),
    (machine.mongodb, ('mongod', 'nx_27017'), 'chainer_kfac[search]'),
    (machine.gpu, ('cupy',), ''),
    (machine.scheduler, ('sbatch', 'qsub'), ''),
])
def test_what_is_missing(monkeypatch, check, names, remedy):
    absent(monkeypatch, *names)
    finding = check()
    assert finding.state == 'missing'
    assert remedy in finding.remedy


def test_a_driver_without_cupy_is_told_how_to_use_it(monkeypatch):
    absent(monkeypatch, 'cupy')
    monkeypatch.setattr(shutil, 'which', lambda name: '/usr/bin/' + name)
    assert 'chainer_kfac[cuda13]' in machine.gpu().remedy


def test_a_card(monkeypatch):
    runtime = types.SimpleNamespace(
        getDeviceCount=lambda: 2, runtimeGetVersion=lambda: 13020,
        getDeviceProperties=lambda i: {'name': 'Card {}'.format(i).encode()})
    cupy = types.SimpleNamespace(cuda=types.SimpleNamespace(runtime=runtime), __version__='14.2')
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: object())
    monkeypatch.setattr(compat, 'require', lambda name, purpose: cupy)
    assert machine.gpu() == ('GPU', 'ok', 'CuPy 14.2, CUDA 13020: Card 0, Card 1', '')


def test_a_chainer_that_does_not_import_is_broken(monkeypatch):
    monkeypatch.setitem(sys.modules, 'chainer', None)
    finding = machine.chainer()
    assert finding.state == 'broken'
    assert 'setuptools<81' in finding.remedy


def test_long_texts_are_wrapped_below_themselves():
    lines = doctor.describe(machine.Finding('x', 'ok', 'word ' * 40, 'do ' * 40)).splitlines()
    assert all(line.startswith(' ' * 20) for line in lines[1:])
