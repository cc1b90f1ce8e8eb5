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
    """Train K-FAC, in two precisions, and momentum SGD; rank 0 writes the weights."""
    comm = chainer_kfac.create_communicator(communicator)
    chainer.get_device(device).use()

    def kfac():
        return optimizers.DistributedKFAC(comm, lr=1e-3, damping=1e-2)

    def sgd():
        return chainermn.create_multi_node_optimizer(chainer.optimizers.MomentumSGD(lr=1e-2), comm)

    weights = {}
    for name, dtype, make in (('K-FAC', np.float32, kfac), ('K-FAC, float64', np.float64, kfac),
                              ('SGD', np.float32, sgd)):
        with chainer.using_config('dtype', np.dtype(dtype)):
            before, after = train(make(), comm, device)
        weights.update(('start of {}/{}'.format(name, key), array) for key, array in before)
        weights.update(('{}/{}'.format(name, key), array) for key, array in after)
    if comm.rank == 0:
        np.savez(target, **weights)


def train(optimizer, comm, device):
    """Names and values of the parameters before and after a few updates from the same seed."""
    np.random.seed(0)
    model = L.Classifier(models.LeNet5(dropout=0.0))
    model.to_device(device)
    before = on_host(model)
    optimizer.setup(model)
    for update in range(UPDATES):
        optimizer.update(model, *share(comm, device, update))
    return before, on_host(model)


def share(comm, device, update):
    """This rank's images, in the configured dtype, and labels of a batch."""
    images, labels = rows.batch(BATCH * UPDATES)
    size = BATCH // comm.size
    start = update * BATCH + comm.rank * size
    send = chainer.get_device(device).send
    images = images[start:start + size].astype(chainer.config.dtype)
    return send(images), send(labels[start:start + size])


def on_host(model):
    """Names and values of all parameters."""
    cpu = chainer.get_device('@numpy')
    return [(name.strip('/').replace('/', '.'), cpu.send(param.array).copy())
            for name, param in model.namedparams()]


if __name__ == '__main__':
    main(*sys.argv[1:])
