"""``equal_steps.py DIRECTORY``: train every case on these ranks, compare with one process.

Writes, from rank 0, the largest relative difference of each case to ``DIRECTORY/SIZE.json``.
Every rank checks that it ends with the same bits as rank 0.
"""
import json
import sys
from pathlib import Path

import cases
import numpy as np

import chainer_kfac

comm = chainer_kfac.create_communicator()
directory = Path(sys.argv[1])
expected = np.load(directory / 'changes.npz')
differences = {}
for name in cases.CASES:
    training = cases.Training(name, comm)
    for step in range(cases.STEPS):
        training.step(step)
    change = training.change()
    for other in comm.mpi_comm.allgather(change):
        assert np.array_equal(other, change), name
    assert training.optimizer.diagnostics['updates'] == cases.STEPS
    differences[name] = float(abs(change - expected[name]).max() / abs(expected[name]).max())
if comm.rank == 0:
    (directory / '{}.json'.format(comm.size)).write_text(json.dumps(differences))
