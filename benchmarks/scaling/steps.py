"""Times LeNet5 steps on the ranks that this program is started on; rank 0 prints JSON.

``mpirun -n N python -m benchmarks.scaling.steps BATCH ROUNDS``: BATCH is that of all ranks.
"""
import json
import sys
import time

import chainer_kfac  # noqa: F401  (first: Chainer does not import without it)

# isort: split
import chainer
import chainer.links as L
import chainermn
import numpy as np

from benchmarks.scaling import rates
from chainer_kfac import functions, models
from chainer_kfac.communicators.world import joined
from chainer_kfac.optimizers import KFAC, DistributedKFAC


def optimizers(communicator):
    """name -> optimizer, not set up."""
    sgd = chainer.optimizers.MomentumSGD(1e-3)
    if communicator is None:
        return {'SGD': sgd, 'K-FAC': KFAC(1e-3, damping=1e-2)}
    return {'SGD': chainermn.create_multi_node_optimizer(sgd, communicator),
            'K-FAC': DistributedKFAC(communicator, 1e-3, damping=1e-2)}


def measure(ranks, batch, rounds):
    """name -> seconds of the fastest step, and bytes of one, of this rank."""
    random = np.random.RandomState(0)
    x = random.standard_normal((batch, 3, 28, 28)).astype(np.float32)
    t = random.randint(10, size=batch).astype(np.int32)
    own = slice(batch * ranks.rank // ranks.size, batch * (ranks.rank + 1) // ranks.size)
    found = {}
    for name, optimizer in optimizers(ranks.communicator).items():
        np.random.seed(0)
        model = L.Classifier(models.LeNet5(dropout=0.0))
        optimizer.setup(model)
        traffic = getattr(ranks.communicator, 'traffic', None)
        times = []
        for i in range(rounds + 2):  # the first compile, choose and allocate
            before = 0 if traffic is None else sum(traffic.bytes.values())
            ranks.largest([0.0])     # all begin together
            start = time.perf_counter()
            optimizer.update(model, x[own], t[own])
            if i >= 2:
                times.append(ranks.largest([time.perf_counter() - start])[0])
        sent = 0 if traffic is None else sum(traffic.bytes.values()) - before
        found[name] = {'seconds': min(times), 'bytes': sent}
    return found


def main(batch, rounds):
    with joined() as ranks, functions.using(True):
        found = measure(ranks, batch, rounds)
        if ranks.rank == 0:
            result = {'ranks': ranks.size, 'batch': batch, 'steps': found}
            if ranks.size == 1:
                result['rates'] = rates.measure(found['SGD']['seconds'], batch)._asdict()
            print(json.dumps(result))


if __name__ == '__main__':
    main(*map(int, sys.argv[1:]))
