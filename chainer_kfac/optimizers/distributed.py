"""K-FAC spread over the ranks of a communicator: the same step, its work divided."""
from collections.abc import Callable

import chainer

from chainer_kfac.communicators.assignment import team_size
from chainer_kfac.communicators.traffic import Traffic
from chainer_kfac.exceptions import ConfigError
from chainer_kfac.fisher.ema import weight_of_new
from chainer_kfac.linalg import Workspace, all_finite
from chainer_kfac.optimizers import (
    coverage,
    distributed_application,
    distributed_averages,
    distributed_inversion,
    distributed_reduction,
    distributed_rows,
    distributed_shares,
    distributed_state,
    planning,
)
from chainer_kfac.optimizers.distributed_draws import SharedDraws
from chainer_kfac.optimizers.distributed_overlap import EarlyReduction
from chainer_kfac.optimizers.distributed_shares import SIDES
from chainer_kfac.optimizers.distributed_start import check_parameters, give_initial_parameters
from chainer_kfac.optimizers.kfac import KFAC, UnsafeUpdateError

WIRE_DTYPES = (None, 'float32', 'float16')

DIVIDED = {'reduce': 'reduce_over_ranks', 'update_factors': 'update_own_factors',
           'update_inverses': 'update_own_inverses', 'precondition': 'precondition_together'}
"""Phases of a step that several ranks divide, and the methods that do so."""


class DistributedKFAC(KFAC):
    """`KFAC` of the batch of all ranks of a communicator.

    Every rank calls `update` with its part of each batch (or micro-batch); the parts may be of
    different sizes, and together they equal one batch in one process, up to rounding. Parameters
    are those of rank 0 at the first update, and the same on every rank after each. On one rank
    this is `KFAC`, bit for bit.

    A layer's factors are averaged and inverted by the rank that owns them, by cost; each layer has
    a team of ranks that hold its inverses and share its preconditioning; every rank gets the
    preconditioned gradients and moves all momenta and weights: docs/distributed.md.

    Collective, in the same order on every rank: `setup` to `update`, `make_whole`, and
    `serialize` into a snapshot unless the state is whole. A rank that raises must end the others
    (an MPI job does not end by itself).

    Args:
        comm (KroneckerCommunicator): from `chainer_kfac.create_communicator`.
        args, kwds: as `KFAC` takes them.
        fraction (float in [0, 1], or None): the share of ranks that make up a team: 0 for one rank
            a layer (least memory), 1 for all (least work, most memory). By default wide layers
            are everybody's and the others have one rank.
        wire_dtype ('float32', 'float16' or None): float16 halves what is sent of gradients,
            factors, rows and preconditioned gradients, each number off by at most 2^-11 of itself
            (`communicators.wire`); inverses and sums keep their precision.
        packed (bool): send n (n + 1) / 2 numbers of a symmetric matrix instead of n^2.
        overlap (bool): reduce the factors of convolutions in the background while backpropagation
            goes on, from the second update on and where ``acc_iters`` is 1. All ranks must then
            run the layers in the same order.

    Attributes:
        comm: the communicator; ``comm.traffic`` counts bytes and seconds.
        team (Team): the ranks that share layers with this one; from the first update on.
        phases (Traffic): seconds of every phase of a step, those of this rank.
        shares (list): who does what, `distributed_shares.Share`; from the first update on.
    """

    def __init__(self, comm, *args, fraction: float | None = None, wire_dtype: str | None = None,
                 packed: bool = True, overlap: bool = False, **kwds):
        team_size(fraction, comm.size)
        if wire_dtype not in WIRE_DTYPES:
            raise ConfigError('wire_dtype is {!r}; choose float32, float16 or None'.format(
                wire_dtype))
        self.comm = comm
        self.fraction = fraction
        self.half = wire_dtype == 'float16'
        self.packed = packed
        self.overlap = overlap
        self.scratch = Workspace()
        self.phases = Traffic()
        self.team = None
        self._divided = DIVIDED if comm.size > 1 else {}
        super().__init__(*args, **kwds)

    def _forget(self):
        super()._forget()
        self.shares = []
        self._is_synchronised = self.comm.size == 1
        self._is_whole = True
        self._survey = None
        self._early = None

    # Before a step

    def update(self, lossfun: Callable | None = None, *args, **kwds) -> None:
        """As `KFAC.update`; at the first, all ranks take the parameters of rank 0."""
        with self.dropped_if_broken_off():
            if lossfun is not None:
                if not self._is_synchronised:
                    give_initial_parameters(self.comm, self.target, lossfun, args, kwds)
                    self._is_synchronised = True
                with self.phases.clock('gradient'):
                    self.backpropagate(lossfun(*args, **kwds))
            self.complete_pass()

    def _prepare(self):
        super()._prepare()
        if not self._is_synchronised:
            check_parameters(self.comm, self.target)
            self._is_synchronised = True
        if self._early is not None:
            self._early.discard()

    def label_draws(self):
        """Numbers of which each rank takes those of its part of the batch."""
        return SharedDraws(self.comm, super().label_draws())

    def plan(self, blocks) -> None:
        """One rank chooses the path of each layer, for the rows of all ranks."""
        planning.plan_together(self.comm, self, blocks)

    def recorded(self, block, terms) -> None:
        """Send a layer's factors off while backpropagation goes on."""
        if self._early is None or not self.factors_due or self.acc_iters > 1:
            return
        for share in self.shares:
            if share.block is block:
                self._early.send(share, block.uses[-1], terms, self._loss_scale)

    # One step

    def run_phase(self, name: str) -> None:
        """Run one phase of a step, with a clock; divided where there are several ranks."""
        with self.phases.clock(name.replace('_', ' ')):
            super().run_phase(self._divided.get(name, name))

    def observations(self) -> dict[str, float]:
        """Seconds of each phase since the last step, and what was sent, beside `KFAC`'s."""
        _, phases = self.phases.news()
        bytes_, seconds = self.comm.traffic.news()
        values = {'seconds/' + name: value for name, value in phases.items()}
        values['seconds/communication'] = sum(seconds.values())
        values.update(('bytes/' + name, value) for name, value in bytes_.items())
        values['bytes'] = sum(bytes_.values())
        return {**super().observations(), **values}

    def reduce_over_ranks(self) -> None:
        """Make gradients and estimates those of the batch of all ranks, where they are needed."""
        self.reallocate_cleared_grads()
        self._release()
        survey = distributed_reduction.Survey(
            self.comm, self.blocks, float(self._terms), self._examples)
        self.shares = distributed_shares.with_new_blocks(self, survey)
        local = [distributed_rows.scaled_rows(
            block.estimate, float(survey.weights[self.comm.rank])) for block in self.blocks]
        distributed_reduction.merge_estimates(self, survey)
        distributed_shares.choose_modes(self, survey)
        distributed_reduction.exchange_rows(self, survey, local)
        early = self._early.sides() if self._early else set()
        distributed_reduction.Reduction(self, survey, local, early).run()
        if early:
            self._early.finish()
        if self.overlap and self._early is None:
            self._early = EarlyReduction(self.comm, self.packed, self.half)
        self._survey = survey

    @property
    def hooks_need_gradients(self) -> bool:
        """Whether hooks do more to gradients than weight decay, and so must see them whole."""
        return any(coverage.only_decay(self, [param]) is None
                   for param in self.target.params(include_uninit=False)
                   if param.update_rule is not None)

    def agree(self, failure: str | None) -> None:
        """Skip this update on all ranks if there is a ``failure`` on any.

        Raises:
            UnsafeUpdateError: on every rank, with the text of the first that failed.
        """
        failed = self.comm.numbers([failure is not None])[:, 0]
        if failed.any():
            first = int(failed.argmax())
            raise UnsafeUpdateError(self.comm.mpi_comm.bcast(failure, root=first))

    def unseen_blocks(self):
        """Blocks of which no rank has ever recorded a call."""
        if not self._divided:
            return super().unseen_blocks()
        return [share.block for share in self.shares if share.block.enabled
                and share.block.W.grad is not None and not share.has_factors
                and not self._survey.seen[share.index]]

    def update_own_factors(self) -> None:
        """Take the factors of all ranks into the running averages, each where it is kept."""
        if not self.factors_due:
            return
        weight = weight_of_new(self.cov_ema_decay, self.ema_weighs)
        for share in self.shares:
            if self._survey.seen[share.index]:
                planning.keep_within_tolerance(self, share.block)
                share.release()
                for side in SIDES:
                    if share.holds(side):
                        distributed_averages.move(share, side, weight)
                share.block.fresh = share.has_factors = True
                share.inverted_with = None
        self._last_factors = self.t
        self.diagnostics['factor_updates'] += 1

    def update_own_inverses(self) -> None:
        """Invert what is due, each factor on the rank that owns it."""
        due = self.inverses_due
        jobs = []
        for share in self.shares:
            damping = self.damping_of(share.block)
            unchanged = share.has_inverses and share.inverted_with == (
                damping, self.pi_type, self.use_cholesky)
            if share.has_factors and (due or not share.has_inverses) and not unchanged:
                jobs.append((share, damping))
        recoveries = distributed_inversion.invert(
            self.comm, jobs, self.pi_type, self.use_cholesky, self.packed, self.scratch)
        self._count_recoveries([share.block.name for share, _ in jobs], recoveries, due)

    def precondition_together(self) -> None:
        """Compute this rank's part of the preconditioned gradients, and gather the others'."""
        ready = [share for share in self.shares if share.has_inverses and share.mode != 'plain']
        directions = distributed_application.compute(self, ready)
        product = 0.0
        if self.kl_clip is not None:
            product = sum(distributed_application.product_with_gradient(share, found)
                          for share, found in directions.items())
        covered = {id(param) for share in ready for param in share.block.params}
        mine = [array[share.outputs_of(self.comm.rank)] for share, found in directions.items()
                for array in found]
        plain = [param.grad for param in self.target.params(include_uninit=False)
                 if id(param) not in covered]
        answers = self.comm.numbers([all_finite([*mine, *plain]), product])
        if not answers[:, 0].all():
            raise UnsafeUpdateError('a preconditioned or hooked gradient is not finite')
        distributed_application.gather(self, directions)
        self._follow([pair for share, found in directions.items()
                      for pair in zip(share.block.params, found, strict=True)],
                     self._kl_scale(float(answers[:, 1].sum())))

    # State

    def make_whole(self) -> None:
        """Give every rank all averages, and inverses that the next step would not rebuild.

        Collective. After it, and until the next `update`, `serialize` does not communicate, so
        that one rank may write a snapshot alone; without it all ranks must call `serialize`.
        """
        if self._is_whole:
            return
        for share in self.shares:
            if share.has_factors:
                distributed_state.gather(
                    self.comm, share, with_inverses=not self.inverses_due)
        self._is_whole = True

    def _release(self):
        """Keep only what is this rank's; the state is not whole any more."""
        if self._is_whole:
            for share in self.shares:
                share.release()
        self._is_whole = False

    def serialize(self, serializer) -> None:
        """Save or load the state, which is the same in form as that of `KFAC`.

        A snapshot of any number of ranks can be loaded by any other number.

        Raises:
            ConfigError: if it is saved between the micro-batches of one update, whose sums are
                different on every rank.
        """
        loading = isinstance(serializer, chainer.serializer.Deserializer)
        if not loading and self.comm.size > 1:
            if self._gradients.count:
                raise ConfigError('a snapshot of several ranks must be taken between updates, not '
                                  'after micro-batch {} of {}'.format(
                                      self._gradients.count, self.acc_iters))
            self.make_whole()
        super().serialize(serializer)
        if loading:
            self.shares = []
            self._is_whole = True
