"""Seconds of a K-FAC step of LeNet5 over ranks: ``mpirun -n 2 python -m benchmarks.distributed``.

Every step builds new factors, and new inverses unless told otherwise. One line: ranks, what was
asked for, fastest and median step of rank 0, its seconds by phase and its bytes by purpose on
average, and the bytes of running averages and inverses on the rank that keeps most.
"""
import argparse
import itertools
import json
import time

import chainer_kfac  # first: Chainer does not import without it

# isort: split
import chainer
import chainer.links as L
import numpy as np

from chainer_kfac import functions, models
from chainer_kfac.optimizers import DistributedKFAC


def main() -> None:
    """Time steps and print one line of JSON on rank 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--batch', type=int, default=128)
    parser.add_argument('--weight-decay', type=float, default=0.0)
    parser.add_argument('--cov-ema-decay', type=float, default=0.99)
    parser.add_argument('--inverse-update-interval', type=int, default=1)
    parser.add_argument('--steps', type=int, default=8)
    parser.add_argument('--fraction', type=float)
    parser.add_argument('--overlap', action='store_true')
    parser.add_argument('--wire-dtype')
    given = parser.parse_args()
    functions.enable()
    comm = chainer_kfac.create_communicator()
    np.random.seed(0)
    model = L.Classifier(models.LeNet5(10, 0.0))
    optimizer = DistributedKFAC(comm, lr=1e-3, damping=1e-3, cov_ema_decay=given.cov_ema_decay,
                                inverse_update_interval=given.inverse_update_interval,
                                fraction=given.fraction, overlap=given.overlap,
                                wire_dtype=given.wire_dtype).setup(model)
    if given.weight_decay:
        optimizer.add_hook(chainer.optimizer_hooks.WeightDecay(given.weight_decay))
    random = np.random.RandomState(0)
    x = random.normal(size=(given.batch, 3, 28, 28)).astype(np.float32)
    t = random.randint(0, 10, given.batch).astype(np.int32)
    mine = slice(given.batch * comm.rank // comm.size, given.batch * (comm.rank + 1) // comm.size)
    for _ in range(2):
        optimizer.update(model, x[mine], t[mine])
    times = []
    seconds, sent = dict(optimizer.phases.seconds), dict(comm.traffic.bytes)
    for _ in range(given.steps):
        comm.mpi_comm.Barrier()
        start = time.perf_counter()
        optimizer.update(model, x[mine], t[mine])
        times.append(time.perf_counter() - start)
    kept = comm.numbers([bytes_kept(optimizer)]).max()
    if comm.rank == 0:
        def average(now, before):
            return {name: round((value - before.get(name, 0)) / given.steps, 4)
                    for name, value in now.items()}
        print(json.dumps({
            'ranks': comm.size, **vars(given),
            'fastest': round(min(times), 4), 'median': round(float(np.median(times)), 4),
            'seconds': average(optimizer.phases.seconds, seconds),
            'bytes': average(comm.traffic.bytes, sent), 'kept': int(kept)}))


def bytes_kept(optimizer: DistributedKFAC) -> int:
    """Bytes of the running averages and inverses on this rank; what two of them share is one."""
    found = {}
    for block in optimizer.blocks:
        factors = block.factors
        for part in (factors.A, factors.G, *itertools.chain(*(factors.sides or ()))):
            arrays = [part] if isinstance(part, np.ndarray) else getattr(
                part, '__dict__', {}).values()
            found.update((array.ctypes.data, array.nbytes) for array in arrays
                         if isinstance(array, np.ndarray))
    return sum(found.values())


if __name__ == '__main__':
    main()
