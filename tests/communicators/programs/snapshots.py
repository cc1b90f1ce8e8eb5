"""``snapshots.py DIRECTORY save|load CASE...``: save after 3 steps, or load; and 3 more steps.

A snapshot of any number of ranks holds the whole state. Rank 0 writes the weights after the last
step to ``DIRECTORY/CASE-SIZE.npy``.
"""
import sys
from pathlib import Path

import cases
import chainer
import numpy as np

import chainer_kfac

comm = chainer_kfac.create_communicator()
directory, what, names = Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
for name in names:
    training = cases.Training(name, comm)
    path = directory / (name + '.npz')
    if what == 'save':
        for step in range(3):
            training.step(step)
        training.optimizer.make_whole()
        if comm.rank == 0:          # alone: after make_whole nothing is collective
            chainer.serializers.save_npz(path, training.optimizer)
            chainer.serializers.save_npz(directory / (name + '-net.npz'), training.net)
    else:
        with chainer.using_config('dtype', np.dtype(training.dtype)):
            training.net(cases.batch(0, 0, training.dtype)[0])
        chainer.serializers.load_npz(directory / (name + '-net.npz'), training.net)
        chainer.serializers.load_npz(path, training.optimizer)
    for step in range(3, 6):
        training.step(step)
    if comm.rank == 0:
        np.save(directory / '{}-{}.npy'.format(name, comm.size), cases.flat(training.net))
