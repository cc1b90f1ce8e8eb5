"""State is whole in a snapshot, and any number of ranks goes on from it."""
import cases
import chainer
import numpy as np
import pytest
from numpy.testing import assert_allclose

NAMES = ['default', 'rows, half', 'rows, one rank a layer', 'thin, intervals', 'general inverse']


@pytest.fixture(scope='module')
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp('snapshots')


def one_process(name):
    training = cases.Training(name)
    for step in range(3):
        training.step(step)
    return training


@pytest.mark.mpi
def test_a_snapshot_of_four_ranks_resumes_on_any(directory, ranks):
    ranks(4, 'snapshots.py', directory, 'save', *NAMES)
    for size in (2, 1, 4):
        uninterrupted = {name: np.load(directory / '{}-4.npy'.format(name)) for name in NAMES}
        ranks(size, 'snapshots.py', directory, 'load', *NAMES)
        for name in NAMES:
            resumed = np.load(directory / '{}-{}.npy'.format(name, size))
            assert_allclose(resumed, uninterrupted[name], rtol=0, atol=1e-12, err_msg=name)
    for name in NAMES:
        alone = one_process(name)
        theirs = np.load(directory / (name + '.npz'))
        ours = chainer.serializers.DictionarySerializer()
        ours.save(alone.optimizer)
        assert set(theirs.files) == set(ours.target)
        for key in theirs.files:
            part = key.rpartition('/')[2]
            if part == 'rows':          # the rows of a layer called twice are in another order
                assert_allclose(theirs[key].T @ theirs[key], ours.target[key].T @ ours.target[key],
                                atol=1e-11)
            elif part in ('gram', 'kernel'):
                assert theirs[key].shape == ours.target[key].shape
            elif theirs[key].dtype.kind == 'f':
                assert_allclose(theirs[key], ours.target[key], rtol=1e-8, atol=1e-11,
                                err_msg=name + key)
            elif 'diagnostics' not in key:
                np.testing.assert_array_equal(theirs[key], ours.target[key], key)
        for step in range(3, 6):
            alone.step(step)
        assert_allclose(cases.flat(alone.net), np.load(directory / '{}-1.npy'.format(name)),
                        rtol=0, atol=1e-11)
