"""One rank of a training that `ranks` and `nccl` compare: started by mpirun."""
import sys

import chainer
import chainer.links as L
import chainermn
import numpy as np

import chainer_kfac
from benchmarks import rows
from chainer_kfac import models, optimizers

UPDATES, BATCH = 4, 32


def main(communicator: str, device: str, target: str) -> None:
    """Train K-FAC and momentum SGD; rank 0 writes the weights."""
    comm = chainer_kfac.create_communicator(communicator)
    chainer.get_device(device).use()
    makers = {
        'K-FAC': lambda: optimizers.DistributedKFAC(comm, lr=1e-3, damping=1e-2),
        'SGD': lambda: chainermn.create_multi_node_optimizer(
            chainer.optimizers.MomentumSGD(lr=1e-2), comm)}
    weights = {}
    for name, make in makers.items():
        np.random.seed(0)
        model = L.Classifier(models.LeNet5(dropout=0.0))
        model.to_device(device)
        weights.update(('start ' + key, array) for key, array in on_host(model))
        optimizer = make().setup(model)
        for update in range(UPDATES):
            optimizer.update(model, *share(comm, device, update))
        weights.update((name + ' ' + key, array) for key, array in on_host(model))
    if comm.rank == 0:
        np.savez(target, **weights)


def share(comm, device, update):
    """This rank's images and labels of a batch."""
    images, labels = rows.batch(BATCH * UPDATES)
    size = BATCH // comm.size
    start = update * BATCH + comm.rank * size
    send = chainer.get_device(device).send
    return send(images[start:start + size]), send(labels[start:start + size])


def on_host(model):
    """Names and values of all parameters."""
    cpu = chainer.get_device('@numpy')
    return [(name.strip('/').replace('/', '.'), cpu.send(param.array).copy())
            for name, param in model.namedparams()]


if __name__ == '__main__':
    main(*sys.argv[1:])
