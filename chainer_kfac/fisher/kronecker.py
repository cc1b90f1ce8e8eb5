"""The two Kronecker factors of a block: running averages, damped inverses, and their use.

An average is a matrix, or, where the block's `Path` says so, the rows of the newest batches.
"""
import chainer

from chainer_kfac.fisher import state
from chainer_kfac.fisher.estimate import Estimate
from chainer_kfac.fisher.general_inverse import general_attempt, general_sides
from chainer_kfac.fisher.moving import as_matrix, move_matrix, move_window
from chainer_kfac.fisher.path import Path
from chainer_kfac.fisher.precondition import precondition_dense, precondition_rows
from chainer_kfac.fisher.recovery import (
    Recovery,
    Request,
    damped_sides,
    first_attempts,
)
from chainer_kfac.linalg import Workspace, is_on_host


class KroneckerFactors:
    """State of one block.

    Args:
        bias (bool): whether the last row and column of A belong to a bias.
        workspace (Workspace or None): scratch memory, which may be shared between blocks.

    Attributes:
        A, G: running averages, undamped: arrays (m, m) and (n, n), with groups of channels
            (groups, m, m) and (groups, n, n), or `RowWindow`s; None until the first update.
        sides: list over groups of (side of A, side of G), which apply the damped inverses; None
            until `invert` succeeded.
        unread (list of arrays, ()): on a device, for each group whether `sides` may be used, since
            the last `invert`: its statuses, which nobody has waited for yet.
        path (Path): how the work is done.
    """

    def __init__(self, bias: bool, workspace: Workspace | None = None):
        self.bias = bias
        self.path = Path()
        self._workspace = workspace or Workspace()
        self.A = self.G = None
        self.sides = None
        self.unread = []
        self._is_careful = False
        self._inverted = None       # what `sides` were built with, while the averages are the same

    @property
    def ready(self) -> bool:
        """Whether there are averages to invert."""
        return self.A is not None and self.G is not None

    def update(self, estimate: Estimate, weight_of_new: float) -> None:
        """Take a step's finite factors, or the rows they are made of, into the averages."""
        path, shared = self.path, self._workspace
        self._inverted = None
        if path.rows_A:
            self.A = move_window(self.A, *estimate.rows_A, weight_of_new, length=path.window,
                                 bias=self.bias)
        else:
            self.A = move_matrix(self.A, estimate.A, *estimate.rows_A, weight_of_new,
                                 bias=self.bias, workspace=shared)
        if path.rows_G:
            self.G = move_window(self.G, *estimate.rows_G, weight_of_new, length=path.window)
        else:
            self.G = move_matrix(self.G, estimate.G, *estimate.rows_G, weight_of_new,
                                 workspace=shared)

    def leave_rows(self) -> None:
        """Keep the averages as matrices from now on; the inverses in use stay as they are."""
        self.A, self.G = as_matrix(self.A), as_matrix(self.G)
        self._inverted = None
        self.path = self.path._replace(rows_A=False, rows_G=False, window=1)

    def invert(self, damping: float, pi_type: str, use_cholesky: bool) -> Recovery:
        """Rebuild `sides` from the averages; they are None if every attempt failed.

        Nothing is done where nothing has changed. On a device the first attempt is taken to
        succeed, and `unread` has its status: see `distrust`.

        Returns:
            Recovery: of the group that needed most.
        """
        return invert_together([(self, damping)], pi_type, use_cholesky)[0]

    def distrust(self) -> None:
        """Drop the inverses, for a status that was not waited for says that they failed.

        The next `invert` waits for each of its attempts, and so does every one after it until a
        first attempt succeeds.
        """
        self.sides = None
        self._is_careful = True

    def _requests(self, wanted):
        """What `invert` has to compute, by group; nothing if that is what there is."""
        self.unread = []
        if self.sides is not None and self._inverted == wanted:
            return []
        self.sides = None
        return [Request(A, G, *wanted[:2], self.bias, self.path.solve)
                for A, G in zip(_per_group(self.A), _per_group(self.G), strict=True)]

    def _accept(self, outcomes, wanted):
        """Take the inverses over; the outcome of the group that needed most."""
        if not outcomes:
            return Recovery(self.sides, wanted[0], False, 0, False)
        worst = max(outcomes, key=lambda outcome: (
            outcome.skipped, outcome.raised, outcome.retried))
        self._is_careful = worst.retried
        if not worst.skipped:
            self.sides = [outcome.value for outcome in outcomes]
            self._inverted = wanted
        return worst

    def precondition(self, weight, bias, out) -> None:
        """G_d^-1 [dW, db] A_d^-1, group by group.

        Args:
            weight (array, (groups, n, d)), bias (array, (groups, n) or None): the gradient.
            out (pair of arrays like them): where the results go.
        """
        for j, (A, G) in enumerate(self.sides):
            parts = [None if array is None else array[j] for array in (weight, bias, *out)]
            precondition_dense(G, A, *parts[:2], out=tuple(parts[2:]), workspace=self._workspace)

    def precondition_rows(self, estimate: Estimate, fresh: bool, out, *,
                          decay=0.0, W=None, b=None) -> None:
        """G_d^-1 (gy^T [x, 1] + decay [W, b]) A_d^-1 from the rows of this step.

        For a block without groups.

        Args:
            estimate (Estimate): has rows.
            fresh (bool): whether the averages took ``estimate`` in, so that its rows are the
                newest of any window.
            out (pair of arrays, (n, d) and (n,) or None): where the results go.
            decay (float), W, b: coefficient and weights of coupled weight decay.
        """
        A, G = self.sides[0]
        own_A = fresh and self.path.rows_A
        own_G = fresh and self.path.rows_G and not estimate.is_sampled
        precondition_rows(G, A, None if own_G else estimate.gradients,
                          None if own_A else estimate.inputs, decay=decay, W=W, b=b, out=out,
                          workspace=self._workspace)

    def to_device(self, device: chainer.backend.Device) -> None:
        """Move the state to ``device``."""
        self.A, self.G = state.average_to(device, self.A), state.average_to(device, self.G)
        for pair in self.sides or ():
            for side, average in zip(pair, (self.A, self.G), strict=True):
                state.side_to(device, side, average)

    def serialize(self, serializer, *, with_inverses: bool) -> None:
        """Save or load everything; no sizes need be known when loading.

        ``with_inverses`` is false where the next step rebuilds them anyway.
        """
        self.path = Path(*(serializer('path_' + name, value)
                           for name, value in zip(Path._fields, self.path, strict=True)))
        self.A = state.serialize_average(serializer['A'], self.A)
        self.G = state.serialize_average(serializer['G'], self.G)
        groups = len(self.sides) if self.sides and with_inverses else 0
        groups = serializer('inverses', groups)
        saved = [(None, None)] * groups if state.is_loading(serializer) else self.sides
        sides = [
            (state.serialize_side(serializer['side_A_{}'.format(j)], saved[j][0], self.A),
             state.serialize_side(serializer['side_G_{}'.format(j)], saved[j][1], self.G))
            for j in range(groups)]
        if state.is_loading(serializer):
            self.sides = sides or None
            self._inverted = None


def invert_together(jobs: list[tuple[KroneckerFactors, float]], pi_type: str,
                    use_cholesky: bool) -> list[Recovery]:
    """`KroneckerFactors.invert` of several blocks, each with its damping.

    On a GPU factors of equal size are inverted in one call, and no status is waited for.
    """
    wanted = [(damping, pi_type, use_cholesky) for _, damping in jobs]
    requests = [factors._requests(want) for (factors, _), want in zip(jobs, wanted, strict=True)]
    are_late = [not factors._is_careful and not _are_on_host(some)
                for (factors, _), some in zip(jobs, requests, strict=True)]
    tried = iter(_attempts([one for some, is_late in zip(requests, are_late, strict=True)
                            for one in some if is_late], use_cholesky))
    recoveries = []
    for (factors, _), some, want, is_late in zip(jobs, requests, wanted, are_late, strict=True):
        outcomes = []
        for request in some:
            if is_late:
                sides, ok = next(tried)
                factors.unread.append(ok)
                outcomes.append(Recovery(sides, request.damping, False, 0, False))
            else:
                outcomes.append(_recovered(request, use_cholesky))
        recoveries.append(factors._accept(outcomes, want))
    return recoveries


def _attempts(requests, use_cholesky):
    """(sides, ok) of the first attempts on a device, unread."""
    if use_cholesky:
        return first_attempts(requests)
    return [general_attempt(request, request.damping, request.dtype)
            if _is_general(request, use_cholesky) else first_attempts([request])[0]
            for request in requests]


def _recovered(request, use_cholesky):
    """The sides under the policy on failures."""
    if _is_general(request, use_cholesky):
        return general_sides(request)
    return damped_sides(*request[:4], bias=request.bias, solve=request.solve)


def _is_general(request, use_cholesky):
    return not use_cholesky and not any(hasattr(factor, 'rows') for factor in request[:2])


def _are_on_host(requests):
    return all(is_on_host(getattr(factor, 'rows', factor))
               for request in requests for factor in request[:2])


def _per_group(average):
    return list(average) if getattr(average, 'ndim', 2) == 3 else [average]
