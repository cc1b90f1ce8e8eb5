"""Collectives and the manners of spread K-FAC, on real ranks; the names of communicators."""
import sys

import pytest

import chainer_kfac
from chainer_kfac.exceptions import ConfigError, MissingDependency
from chainer_kfac.optimizers import DistributedKFAC


@pytest.mark.mpi
@pytest.mark.parametrize('size', [1, 3])
def test_collectives_and_chainermn(ranks, size):
    done = ranks(size, 'collectives.py')
    assert done.stdout.count('done') == size


@pytest.mark.mpi
def test_the_logic_of_nccl(ranks):
    done = ranks(3, 'nccl_stand_in.py')
    assert done.stdout.count('done') == 3


@pytest.mark.mpi
@pytest.mark.parametrize('size', [2, 3])
def test_bytes_failures_and_refusals(ranks, size):
    done = ranks(size, 'steps.py')
    assert done.stdout.count('done') == size


def test_another_name_is_refused():
    with pytest.raises(ConfigError, match="'flat'; choose one of naive, pure_nccl"):
        chainer_kfac.create_communicator('flat')


def test_without_mpi_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, 'mpi4py', None)
    monkeypatch.setitem(sys.modules, 'mpi4py.MPI', None)
    with pytest.raises(MissingDependency, match=r'chainer_kfac\[mpi\]'):
        chainer_kfac.create_communicator()


class OneRank:
    rank, size = 0, 1


@pytest.mark.parametrize('options, named', [
    ({'wire_dtype': 'int8'}, "wire_dtype is 'int8'"), ({'fraction': 2.0}, 'fraction is 2.0'),
    ({'lr': -1.0}, 'lr must be')])
def test_wrong_options_are_refused(options, named):
    with pytest.raises(ConfigError, match=named):
        DistributedKFAC(OneRank(), **options)
