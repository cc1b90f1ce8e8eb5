"""What `DistributedKFAC` does beside the numbers: bytes, skipped updates, refusals, hosts."""
import sys

import cases
import chainer
import chainer.functions as F
import chainer.links as L
import numpy as np
import pytest

import chainer_kfac
from chainer_kfac.exceptions import ConfigError
from chainer_kfac.optimizers import DistributedKFAC

comm = chainer_kfac.create_communicator()
rank, size = comm.rank, comm.size


def bytes_of_factors():
    """The factors on the wire take exactly n (n + 1) / 2 numbers each, or n^2 unpacked."""
    for packed in (True, False):
        before = comm.traffic.bytes['factors']
        training = cases.Training('default', comm, packed=packed, fraction=0.0)
        training.step(0)
        shapes = [share.shape_of(side) for share in training.optimizer.shares
                  for side in 'AG' if not share.sends_rows[side]]
        numbers = sum(int(np.prod(shape[:-2], dtype=int))
                      * (shape[-1] * (shape[-1] + 1) // 2 if packed else shape[-1] ** 2)
                      for shape in shapes)
        assert shapes
        assert comm.traffic.bytes['factors'] - before == 8 * numbers


def intervals():
    """Factors are sent when factors are due, inverses when inverses are."""
    training = cases.Training('all ranks', comm)
    training.optimizer.factor_update_interval = 2
    training.optimizer.inverse_update_interval = 3
    for step in range(7):
        before = dict(comm.traffic.bytes)
        training.step(step)
        sent = {name: size - before.get(name, 0) for name, size in comm.traffic.bytes.items()}
        assert (sent['factors'] > 0) == (step % 2 == 0), step
        assert (sent['inverses'] > 0) == (step % 3 == 0), step
        assert sent['directions'] > 0, step


def a_rank_that_owns_nothing():
    """It keeps nothing of K-FAC but momentum, and steps like the others."""
    training = cases.Training('fewer layers than ranks', comm, fraction=0.0)
    training.step(0)
    share, = training.optimizer.shares
    assert share.team == (0,)
    factors = share.block.factors
    training.optimizer.make_whole()
    assert factors.A is not None
    training.step(1)
    if rank == 0:
        assert factors.A is not None
        assert factors.sides is not None
    else:
        assert (factors.A, factors.G, factors.sides) == (None, None, None)
        assert all(param.update_rule.state for param in training.net.params())


def buffers_are_allocated_once():
    training = cases.Training('default', comm, overlap=True, packed=False)
    seen = []
    for step in range(4):
        training.step(step)
        seen.append({array.ctypes.data for workspace in (
            training.optimizer.scratch, training.optimizer._early._scratch, comm._scratch)
            for array in workspace._arrays.values()})
    assert len(seen[1]) > 3
    assert seen[1] == seen[2] == seen[3]


def a_report():
    """Chainer's reporter is told of bytes and seconds."""
    training = cases.Training('default', comm, overlap=True)
    observation = {}
    for step in range(3):
        with chainer.Reporter().scope(observation):
            training.step(step)
    for name in ('bytes', 'bytes/gradients', 'seconds/gradient', 'seconds/precondition',
                 'seconds/communication'):
        assert observation['kfac/' + name] > 0, name
    assert comm.traffic.seconds['early reduction'] > 0      # overlap was at work
    unchanged = dict(comm.traffic.bytes)
    training.step(3)
    later = dict(comm.traffic.bytes)
    with chainer.Reporter().scope(observation):
        training.step(4)
    # every step sends as much
    assert sum(comm.traffic.bytes.values()) - sum(later.values()) == (
        sum(later.values()) - sum(unchanged.values()))


def all_skip_together():
    """A NaN on the last rank alone stops the update everywhere."""
    training = cases.Training('default', comm)
    for step in range(4):
        before = None if step == 0 else cases.flat(training.net)
        if step == 2:
            x, t = cases.batch(step)
            x = x[training.part].copy()
            if rank == size - 1:
                x[0, 0, 0, 0] = np.nan
            training.optimizer.update(training.loss, x, t[training.part])
            assert (cases.flat(training.net) == before).all()
        else:
            training.step(step)
            assert before is None or (cases.flat(training.net) != before).any()
    assert training.optimizer.diagnostics['skipped_updates'] == 1
    assert training.optimizer.diagnostics['updates'] == 3


def factors_that_need_more_damping():
    """A factor that cannot be inverted without damping is recovered alike on all ranks."""
    training = cases.Training('default', comm, fraction=1.0)
    training.step(0)
    optimizer = training.optimizer
    share = optimizer.shares[-1]
    if share.owns('A'):
        share.block.factors.A[...] = -1e-3 * np.eye(len(share.block.factors.A))
    share.inverted_with = None
    optimizer.cov_ema_decay = 0.0               # keep that average
    optimizer.damping, optimizer.pi_type = 1e-8, 'none'
    training.step(1)
    counts = comm.mpi_comm.allgather(dict(optimizer.diagnostics))
    assert all(one == counts[0] for one in counts)
    assert counts[0]['float64_retries'] >= 1
    assert counts[0]['raised_dampings'] >= 1


def different_models_are_refused():
    """Ranks that record different things are told so by the layer's name."""
    training = cases.Training('thin, half', comm)
    training.step(0)
    if rank == 0:
        training.optimizer.add_hook(chainer.optimizer_hooks.GradientClipping(1.0), 'odd')
    if rank == 0:
        training.optimizer.blocks[-2].keeps_rows = False
    with pytest.raises(ConfigError, match='the ranks recorded different things of /'):
        training.step(1)


def other_parameters_are_refused():
    """A loss of parameters that differ between ranks is refused by the parameter's name."""
    training = cases.Training('fewer layers than ranks', comm)
    x, t = cases.batch(0)
    with chainer.using_config('dtype', np.dtype('float64')):
        loss = training.loss(x[training.part], t[training.part])
        with pytest.raises(ConfigError, match='/only/W differs between ranks'):
            training.optimizer.backward(loss)


class Either(chainer.Chain):
    """The covered layer is rank 0's alone."""

    def __init__(self, hidden):
        super().__init__()
        with self.init_scope():
            self.first = L.Scale(1, (11,))
            self.covered = L.Linear(hidden, cases.CLASSES)
            self.other = L.Scale(1, (cases.CLASSES,))

    def forward(self, x):
        h = self.first(x.reshape(len(x), -1)[:, :11])
        return self.covered(h) if rank == 0 else self.other(h[:, :cases.CLASSES])

    def loss(self, x, t):
        return F.softmax_cross_entropy(self(x), t)


def a_layer_of_one_rank_alone():
    """The others have neither rows nor factors of any layer to tell dtype and place from."""
    for kfac in ({'fraction': 1.0, **cases.ROWS}, {'fraction': 0.0, 'paths': 'thin'}):
        with chainer.using_config('dtype', np.dtype('float64')):
            np.random.seed(0)
            net = Either(11)
            optimizer = DistributedKFAC(comm, **kfac).setup(net)
            for step in range(2):
                x, t = cases.batch(step)
                optimizer.update(net.loss, x, t)
        mine = cases.flat(net)
        assert all((other == mine).all() for other in comm.mpi_comm.allgather(mine))


def a_layer_without_a_shape_is_refused():
    """Made later, it would be another one on each rank."""
    with chainer.using_config('dtype', np.dtype('float64')):
        net = Either(None)
        x, t = cases.batch(0)
        refused = pytest.raises(ConfigError, match='/covered/W has no shape on rank 1')
        with refused:
            DistributedKFAC(comm).setup(net).update(net.loss, x, t)
        with refused:
            DistributedKFAC(comm).setup(net).backward(net.loss(x, t))


def what_teams_send_is_counted():
    """Also where a team is some of the ranks."""
    training = cases.Training('rows, half', comm)
    for step in range(2):
        training.step(step)
    assert training.optimizer.team.comm.traffic is comm.traffic


def a_snapshot_between_micro_batches_is_refused():
    training = cases.Training('micro-batches', comm)
    x, t = cases.batch(0)
    with chainer.using_config('dtype', np.dtype('float64')):
        training.optimizer.update(training.loss, x[training.part], t[training.part])
    with pytest.raises(ConfigError, match='micro-batch 1 of 2'):
        chainer.serializers.DictionarySerializer().save(training.optimizer)


def two_optimizers_on_parts():
    """Optimizers on two halves of the ranks train apart, at the same time."""
    half = comm.split(rank % 2, rank)
    both = cases.Training('default', comm)
    both.step(0)
    own = cases.Training('default', half)
    own.step(0)
    for step in range(1, 3):
        both.step(step)
        own.step(step)
    assert np.allclose(both.change(), own.change(), rtol=0, atol=1e-10)


for check in (bytes_of_factors, intervals, a_rank_that_owns_nothing, buffers_are_allocated_once,
              a_report, all_skip_together, factors_that_need_more_damping,
              different_models_are_refused, other_parameters_are_refused,
              a_layer_of_one_rank_alone, a_layer_without_a_shape_is_refused,
              what_teams_send_is_counted,
              a_snapshot_between_micro_batches_is_refused,
              two_optimizers_on_parts):
    check()
    comm.mpi_comm.barrier()
print('rank {} of {}: done'.format(rank, size), file=sys.stdout)
