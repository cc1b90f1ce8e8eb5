"""Every collective of a communicator, ChainerMN's parts on it, and two of them in one process."""
import sys
import tempfile

import chainer_kfac  # first: Chainer does not import without it

# isort: split
import chainer
import chainer.links as L
import chainermn
import collectives_of
import numpy as np
from chainer import training
from chainer.training import extensions
from numpy.testing import assert_allclose, assert_array_equal

from chainer_kfac.communicators.background import Background

comm = chainer_kfac.create_communicator(sys.argv[1] if len(sys.argv) > 1 else None)
rank, size = comm.rank, comm.size


def in_the_background():
    """Reductions in another thread, while this one communicates."""
    background = Background(comm, 'behind')
    counts = [3] * size
    jobs = [background.reduce_scatter(np.full(3 * size, i + rank, float), counts)
            for i in range(5)]
    for i in range(20):
        assert_array_equal(comm.numbers([i])[:, 0], [i] * size)
    for i, job in enumerate(jobs):
        job.wait()
        assert_array_equal(job.buffer[3 * rank:3 * rank + 3], [size * i + sum(range(size))] * 3)
    assert comm.traffic.seconds['behind'] > 0


def two_communicators():
    """A split of this one has ranks, scratch memory and counters of its own."""
    half = comm.split(rank % 2, rank)
    assert type(half) is type(comm)
    assert half.size == len(range(rank % 2, size, 2))
    before = dict(comm.traffic.seconds)
    collectives_of.check(half, False, np.float64)
    assert dict(comm.traffic.seconds) == before
    one = np.full(4, 1.0)
    other = np.full(4, 1.0)
    comm.all_reduce(one, 'x')
    half.all_reduce(other, 'x')
    assert (one[0], other[0]) == (size, half.size)


class Model(chainer.Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.fc1 = L.Linear(3, 4)
            self.half = L.Linear(4, 2)
        for param in self.half.params():
            param.array = param.array.astype(np.float16)

    def forward(self, x):
        return chainer.functions.cast(self.half(chainer.functions.cast(
            self.fc1(x), np.float16)), np.float32)


def mean_of_gradients():
    """One buffer for gradients of several dtypes; a missing one counts as zeros if asked for."""
    model = Model()
    model.cleargrads()
    for i, (name, param) in enumerate(sorted(model.namedparams())):
        if not (name == '/fc1/b' and rank == 0):
            param.grad = np.full(param.shape, rank + i, param.dtype)
    comm.multi_node_mean_grad(model, zero_fill=True)
    for i, (name, param) in enumerate(sorted(model.namedparams())):
        mean = (size - 1) / 2 + i - (i / size if name == '/fc1/b' else 0)
        assert_allclose(param.grad, np.full(param.shape, mean), rtol=1e-3)
        assert param.grad.dtype == param.dtype


def chainermn_parts():
    """Evaluator, scatter_dataset, checkpointer, bcast_data and the multi-node optimizer."""
    np.random.seed(rank)
    model = L.Classifier(Model())
    comm.bcast_data(model)
    weights = comm.mpi_comm.allgather(model.predictor.fc1.W.array)
    assert all((one == weights[0]).all() for one in weights)
    random = np.random.RandomState(0)
    x = random.normal(size=(12, 3)).astype('f')
    data = chainermn.scatter_dataset(
        chainer.datasets.TupleDataset(x, (x[:, 0] > 0).astype('i')) if rank == 0 else None,
        comm, shuffle=True, seed=0)
    assert len(data) == -(-12 // size)
    optimizer = chainermn.create_multi_node_optimizer(
        chainer.optimizers.SGD(0.1), comm).setup(model)
    iterator = chainer.iterators.SerialIterator(data, 2, shuffle=False)
    directory = comm.bcast_obj(tempfile.mkdtemp() if rank == 0 else None)
    trainer = training.Trainer(
        training.updaters.StandardUpdater(iterator, optimizer), (4, 'iteration'), directory)
    evaluator = extensions.Evaluator(
        chainer.iterators.SerialIterator(data, 2, False, False), model)
    trainer.extend(chainermn.create_multi_node_evaluator(evaluator, comm))
    checkpointer = chainermn.create_multi_node_checkpointer('run', comm, path=directory)
    trainer.extend(checkpointer, trigger=(2, 'iteration'))
    trainer.run()
    weights = comm.mpi_comm.allgather(model.predictor.fc1.W.array)
    assert all((one == weights[0]).all() for one in weights)


for half in (False, True):
    for dtype in (np.float32, np.float64):
        collectives_of.check(comm, half, dtype)
in_the_background()
two_communicators()
mean_of_gradients()
chainermn_parts()
print('rank {} of {}: done'.format(rank, size))
