"""A ChainerMN program as written for Chainer 7: every part of its CPU side, checked on each rank.

Run as ``mpirun -n 2 python -m chainer_kfac.compat use_chainermn.py DIRECTORY``.
"""
import sys
import warnings

import chainer
import chainer.functions as F
import chainer.links as L
import chainermn
import numpy as np
from chainer import training
from chainer.training import extensions
from numpy.testing import assert_allclose, assert_array_equal

warnings.simplefilter('ignore', FutureWarning)      # much of ChainerMN calls itself experimental
comm = chainermn.create_communicator('naive')
rank, size = comm.rank, comm.size
other = 1 - rank


def communicator(dtype):
    """The collectives of arrays; the expected values are formulas of rank and size."""
    x = np.full(3, rank + 1, dtype)
    assert_array_equal(comm.bcast(x if rank == 0 else None), np.ones(3, dtype))
    assert_array_equal(comm.allgather(x)[1], np.full(3, 2, dtype))
    gathered = comm.gather(x)
    assert (gathered is None) == (rank != 0)
    if rank == 0:
        assert [y[0] for y in gathered] == [1, 2]
        assert gathered[1].dtype == dtype
    assert_array_equal(comm.allreduce(x), np.full(3, 3, dtype))
    parts = np.arange(2 * size, dtype=dtype).reshape(size, 2) if rank == 0 else None
    assert_array_equal(comm.scatter(parts), [2 * rank, 2 * rank + 1])
    swapped = comm.alltoall(tuple(np.full(2, 10 * rank + to, dtype) for to in range(size)))
    assert [y[0] for y in swapped] == [rank, 10 + rank]
    if rank == 0:
        comm.send(x, 1, 0)
    else:
        received = comm.recv(0, 0)
        assert_array_equal(received, np.ones(3, dtype))
        assert received.dtype == dtype


def objects():
    """The collectives of Python objects, and the ranks."""
    assert (size, comm.intra_size, comm.inter_size) == (2, 2, 1)
    assert comm.bcast_obj({'a': rank} if rank == 0 else None) == {'a': 0}
    assert comm.gather_obj(rank) == ([0, 1] if rank == 0 else None)
    assert comm.allreduce_obj(rank + 1) == 3
    if rank == 0:
        comm.send_obj('text', 1)
    else:
        assert comm.recv_obj(0) == 'text'
    assert comm.split(rank, 0).size == 1


def functions():
    """The differentiable communications."""
    x = chainer.Variable(np.array([rank + 1.0], 'f'))
    if rank == 0:
        y = chainermn.functions.send(x * 2, comm, 1)
        y.backward()
        assert_allclose(x.grad, [2 * 3])
    else:
        y = chainermn.functions.recv(comm, 0) * 3
        assert_allclose(y.array, [6])
        y.backward()
    x = chainer.Variable(np.array([rank + 1.0], 'f'))
    F.sum(F.concat(chainermn.functions.allgather(comm, x), 0) * np.array([1, 10], 'f')).backward()
    assert_allclose(x.grad, [2 * 10 ** rank])
    x = chainer.Variable(np.array([rank + 1.0], 'f'))
    y = chainermn.functions.bcast(comm, x if rank == 0 else None)
    y = y * (rank + 1)
    y.backward()
    if rank == 0:
        assert_allclose(x.grad, [3])
    xs = [chainer.Variable(np.array([10.0 * rank + i], 'f')) for i in range(2)]
    ys = chainermn.functions.alltoall(comm, xs)
    assert [float(y.array[0]) for y in ys] == [rank, 10 + rank]
    gathered = chainermn.functions.gather(comm, x)
    if rank == 0:
        assert [float(y.array[0]) for y in gathered] == [1, 2]
    parts = tuple(chainer.Variable(np.array([i], 'f')) for i in range(2)) if rank == 0 else None
    part = chainermn.functions.scatter(comm, parts)
    assert_allclose(part.array, [rank])


class Model(chainer.Chain):
    def __init__(self):
        super(Model, self).__init__()
        with self.init_scope():
            self.fc1 = L.Linear(3, 4)
            self.bn = L.BatchNormalization(4)
            self.fc2 = L.Linear(4, 2)

    def forward(self, x):
        return self.fc2(F.relu(self.bn(self.fc1(x))))


def batch_normalization():
    """Statistics over the ranks equal those over the whole batch."""
    x = np.random.RandomState(0).normal(size=(8, 4)).astype('f')
    whole = L.BatchNormalization(4)
    parts = chainermn.links.MultiNodeBatchNormalization(4, comm)
    mine = slice(4 * rank, 4 * rank + 4)
    a, b = chainer.Variable(x), chainer.Variable(x[mine])
    y, z = whole(a), parts(b)
    assert_allclose(z.array, y.array[mine], rtol=1e-4, atol=1e-5)
    assert z.dtype == np.float32
    y.grad, z.grad = x * 2, x[mine] * 2
    y.backward()
    z.backward()
    assert_allclose(b.grad, a.grad[mine], rtol=1e-3, atol=1e-4)
    model = chainermn.links.create_mnbn_model(Model(), comm)
    assert isinstance(model.bn, chainermn.links.MultiNodeBatchNormalization)
    assert model(np.ones((2, 3), 'f')).shape == (2, 2)


class FirstHalf(chainermn.MultiNodeChainList):
    def __init__(self):
        super(FirstHalf, self).__init__(comm)
        self.add_link(L.Linear(3, 4), rank_in=None, rank_out=1)


class SecondHalf(chainermn.MultiNodeChainList):
    def __init__(self):
        super(SecondHalf, self).__init__(comm)
        self.add_link(L.Linear(4, 2), rank_in=0, rank_out=None)


def model_parallel():
    """A model spread over two ranks."""
    model = FirstHalf() if rank == 0 else SecondHalf()
    optimizer = chainer.optimizers.SGD(0.1).setup(model)
    before = [param.array.copy() for param in model.params()]
    dataset = chainermn.datasets.create_empty_dataset(np.ones((4, 3)))
    assert len(dataset) == 4
    assert dataset[0] == ()
    model.cleargrads()
    if rank == 0:
        y = model(np.ones((2, 3), 'f'))
        y.backward()
    else:
        F.sum(model() ** 2).backward()
    optimizer.update()
    assert all(abs(old - new.array).max() > 0 for old, new in zip(before, model.params()))
    rnn = chainermn.links.create_multi_node_n_step_rnn(
        L.NStepLSTM(1, 3, 3, 0.0), comm, rank_in=None if rank == 0 else 0,
        rank_out=1 if rank == 0 else None)
    hx, cx, ys, delegate = rnn([np.ones((2, 3), 'f')])
    assert ys[0].shape == (2, 3)


def iterators():
    """Both multi-node iterators give all ranks the same examples, in two epochs."""
    for create in (chainermn.iterators.create_multi_node_iterator,
                   chainermn.iterators.create_synchronized_iterator):
        np.random.seed(rank)
        iterator = create(chainer.iterators.SerialIterator(np.arange(8, dtype='f'), 4), comm)
        batches = [iterator.next() for _ in range(4)]
        assert iterator.epoch == 2
        assert sorted(np.ravel(batches[:2])) == list(range(8))
        gathered = comm.bcast_obj(comm.gather_obj(batches))
        assert_array_equal(gathered[0], gathered[1])


class CountExamples(chainermn.extensions.GenericMultiNodeEvaluator):
    """Counts what each rank sees; rank 0 has the sum."""

    def calc_local(self, x, t):
        return len(x)

    def aggregate(self, results):
        self.examples = sum(results)


def training_run(directory, stop):
    """Data-parallel training with every extension; returns the model and the trainer."""
    np.random.seed(rank)                     # the optimizer makes rank 0's weights everybody's
    model = L.Classifier(Model())
    optimizer = chainermn.create_multi_node_optimizer(
        chainer.optimizers.Adam(0.01), comm).setup(model)
    random = np.random.RandomState(0)
    x = random.normal(size=(24, 3)).astype('f')
    examples = chainer.datasets.TupleDataset(x, (x[:, 0] > 0).astype('i')) if rank == 0 else None
    index = chainermn.scatter_index(24, comm)
    assert index == (12 * rank, 12 * rank + 12)
    examples = chainermn.scatter_dataset(examples, comm, shuffle=True, seed=0)
    assert len(examples) == 12
    iterator = chainer.iterators.SerialIterator(examples, 4, shuffle=False)
    updater = training.updaters.StandardUpdater(iterator, optimizer)
    trainer = training.Trainer(updater, stop, out=directory)
    counter = CountExamples(
        comm, chainer.iterators.SerialIterator(examples, 4, False, False), model)
    trainer.extend(counter)
    evaluator = extensions.Evaluator(
        chainer.iterators.SerialIterator(examples, 4, False, False), model)
    trainer.extend(chainermn.create_multi_node_evaluator(evaluator, comm))
    trainer.extend(chainermn.extensions.AllreducePersistent(model, comm))
    trainer.extend(extensions.observe_value('rank', lambda trainer: float(rank)),
                   trigger=(1, 'iteration'))
    trainer.extend(chainermn.extensions.ObservationAggregator(comm, 'rank'))
    snapshot = chainermn.extensions.multi_node_snapshot(
        comm, extensions.snapshot(autoload=True), [[0, 1]])
    trainer.extend(snapshot, trigger=(1, 'epoch'))
    checkpointer = chainermn.create_multi_node_checkpointer('run', comm, path=directory)
    trainer.extend(checkpointer, trigger=(2, 'iteration'))
    if rank == 0:
        trainer.extend(extensions.LogReport())
    checkpointer.maybe_load(trainer, optimizer)
    trainer.run()
    assert trainer.observation['rank'] == 0.5
    if rank == 0:
        assert counter.examples == 24
    return model, trainer


def check_training(directory):
    """All ranks end with the same weights, and a run goes on from its snapshot."""
    stop = chainermn.extensions.MultiNodeEarlyStoppingTrigger(
        comm, monitor='rank', patience=10, max_trigger=(2, 'epoch'))
    model, trainer = training_run(directory, stop)
    weights = [param.array for param in model.params()]
    for all_ranks in zip(*comm.bcast_obj(comm.gather_obj(weights))):
        assert_allclose(all_ranks[0], all_ranks[1], rtol=1e-6, atol=1e-7)
    comm.mpi_comm.barrier()
    _, resumed = training_run(directory, (3, 'epoch'))
    assert resumed.updater.iteration == 9
    assert trainer.updater.iteration == 6


for dtype in (np.int32, np.int64, np.float32, np.float64):
    communicator(np.dtype(dtype))
objects()
functions()
batch_normalization()
model_parallel()
iterators()
check_training(sys.argv[1])
print('rank {} of {}: done'.format(rank, size))
