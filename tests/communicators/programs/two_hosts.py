"""``two_hosts.py DIRECTORY``: ranks on two hosts change the parameters as one process does."""
import sys
from pathlib import Path

import cases
import numpy as np

import chainer_kfac

comm = chainer_kfac.create_communicator()
assert (comm.size, comm.intra_size, comm.inter_size) == (2, 1, 2)
expected = np.load(Path(sys.argv[1]) / 'changes.npz')
for name in ('default', 'all ranks', 'rows', 'overlap', 'thin, one rank a layer'):
    training = cases.Training(name, comm)
    for step in range(cases.STEPS):
        training.step(step)
    difference = abs(training.change() - expected[name]).max() / abs(expected[name]).max()
    assert difference <= cases.CASES[name]['tolerance'], (name, difference)
print('rank {} of {}: done'.format(comm.rank, comm.size))
