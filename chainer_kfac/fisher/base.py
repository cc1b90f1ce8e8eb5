"""The Fisher block of one link: what it records, averages, inverts and preconditions.

A block covers the weight W and, if there is one, the bias b of a link. Its Fisher matrix is
kron(G, A) for the row-major gradient matrix D = (dW, db) of shape (n, m), m = inputs + bias; the
preconditioned gradient is G_d^-1 D A_d^-1 with the damped factors of `fisher.damping`.

State lives on the block and in `serialize`. A step runs through it in this order: `record` (in
backprop), `close` (after each backprop), `update_factors`, `update_inverses`, `precondition`.
"""
import chainer

from chainer_kfac.exceptions import ConfigError
from chainer_kfac.fisher.cost import Layer
from chainer_kfac.fisher.estimate import Batch, Estimate, Use
from chainer_kfac.fisher.factors import at_least_float32
from chainer_kfac.fisher.kronecker import KroneckerFactors
from chainer_kfac.fisher.moving import as_matrix
from chainer_kfac.fisher.recovery import Recovery
from chainer_kfac.linalg import Workspace


class FisherBlock:
    """Base class; a link type defines `function_class` and the first three methods.

    Args:
        link (chainer.Link): has a weight ``W`` and a bias ``b``, which may be None.
        name (str): where the link is in the model, for messages.
        workspace (Workspace or None): scratch memory, shared between the blocks of an optimizer.

    Attributes:
        factors (KroneckerFactors): running averages and inverses.
        estimate (Estimate): what this step has recorded.
        fresh (bool): whether the averages took this step's estimate in.
        unformed (bool): whether this step's backprop left out the gradient of the weight.
        planned (bool): whether the path of `factors` has been chosen.
        keeps_rows (bool): whether `estimate` has the rows that the factors are made of.
        stabilised (bool): multiply the damping by the optimizer's ``stab_coeff``; for
            normalisation layers, whose factors are badly scaled.
    """

    function_class: type
    keeps_rows = False
    stabilised = False

    def __init__(self, link: chainer.Link, name: str, workspace: Workspace | None = None):
        self.link = link
        self.name = name
        self.groups = 1
        self.workspace = workspace or Workspace()
        self.factors = KroneckerFactors(self.b is not None, self.workspace)
        self.estimate = Estimate()
        self.fresh = self.planned = self.unformed = False
        self.uses: list[Use] = []
        self._own = Workspace()

    def use_of(self, function, x, gy) -> Use:
        """The `Use` that a call of ``function`` with input ``x`` and output gradient ``gy`` was."""
        raise NotImplementedError

    def input_factor(self, function, x, bias: bool):
        """A of one call alone, with the constant 1 appended if ``bias``."""
        raise NotImplementedError

    def output_factor(self, gy):
        """G of one call alone, from the gradient of a mean loss."""
        raise NotImplementedError

    @property
    def W(self) -> chainer.Parameter:
        """The weight, by which calls are recognised."""
        return self.link.W

    @property
    def b(self) -> chainer.Parameter | None:
        """The bias."""
        return self.link.b

    @property
    def A(self):
        """Running average of the input factor as a matrix, or None before the first."""
        return as_matrix(self.factors.A)

    @property
    def G(self):
        """Running average of the output-gradient factor as a matrix, or None."""
        return as_matrix(self.factors.G)

    @property
    def params(self) -> list[chainer.Parameter]:
        """The parameters the block covers."""
        return [self.W] if self.b is None else [self.W, self.b]

    @property
    def layer(self) -> Layer:
        """The sizes of one group in the forward pass that was just recorded."""
        outputs = len(self.W.array)
        return Layer(sum(use.rows for use in self.uses), outputs // self.groups,
                     self.W.size // outputs + (self.b is not None))

    @property
    def enabled(self) -> bool:
        """Whether the optimizer changes any of the block's parameters."""
        return any(param.update_rule is not None and param.update_rule.enabled
                   for param in self.params)

    def set_groups(self, groups: int) -> None:
        """Note in how many groups of channels a call was made.

        Raises:
            ConfigError: if calls of the same weight disagree.
        """
        if not self.factors.ready and not self.uses:
            self.groups = groups
        if groups != self.groups:
            raise ConfigError('the weight of {} was used with {} groups and with {}: give each use '
                              'a link of its own'.format(self.name, self.groups, groups))

    # Recording, in and after backprop

    def record(self, function, x, gy, *, want_A: bool, want_G: bool) -> None:
        """Take in one call from the backward pass and compute the factors that are wanted."""
        use = self.use_of(function, x, gy)
        if want_A:
            use.A = self._input_factor(function, x)
        if want_G:
            use.G = self.output_factor(gy)
        self.uses.append(use)

    def record_sample(self, use: Use, gy) -> None:
        """Add an output gradient of a recorded call to its G: sampled or exact Fisher."""
        G = self.output_factor(gy)
        if use.G is None:
            use.G = G
        else:
            use.G += G

    def close(self, batch: Batch) -> None:
        """End of a forward and backward pass: take what was recorded into the step's estimate."""
        uses, self.uses = self.uses, []
        if uses:
            self.estimate.add(uses, batch)

    def knows(self, function, index: int) -> bool:
        """Whether a call with a parameter of the block as this input is all that rows can say."""
        return (isinstance(function, self.function_class) and index in (1, 2)
                and function.inputs[1].get_variable_or_none() is self.W
                and (self.b is None or self.has_bias(function)))

    def has_bias(self, function) -> bool:
        """Whether a call used the block's own bias."""
        return (self.b is not None and len(function.inputs) > 2
                and function.inputs[2].get_variable_or_none() is self.b)

    def _input_factor(self, function, x):
        bias = self.has_bias(function)
        A = self.input_factor(function, x, bias)
        if bias or self.b is None:
            return A
        # A call with the weight alone: to the bias it is an input of 0.
        xp = chainer.backend.get_array_module(A)
        return xp.pad(A, [(0, 0)] * (A.ndim - 2) + [(0, 1)] * 2)

    # One step

    @property
    def has_new_factors(self) -> bool:
        """Whether this step's estimate can be taken into the running averages."""
        estimate = self.estimate
        return all(matrix is not None or rows is not None for matrix, rows in (
            (estimate.A, estimate.rows_A[0]), (estimate.G, estimate.rows_G[0])))

    def update_factors(self, weight_of_new: float) -> None:
        """Take the step's factors into the running averages."""
        self.factors.update(self.estimate, weight_of_new)
        self.fresh = True

    def update_inverses(self, damping: float, pi_type: str, use_cholesky: bool) -> Recovery:
        """Invert the damped averages."""
        return self.factors.invert(damping, pi_type, use_cholesky)

    def precondition(self, grads):
        """G_d^-1 D A_d^-1 of the block's gradients.

        Args:
            grads (list of arrays): gradients of `params`, float32 or wider.
        Returns:
            list of arrays of the same shapes, in memory that the next call reuses.
        """
        out = self.directions(grads)
        weight, bias = self.grouped(grads)
        self.factors.precondition(weight, bias, self.grouped(out))
        return out

    def precondition_rows(self, *, decay: float):
        """`precondition` of this step's gradient, from its rows, with coupled weight decay."""
        arrays = [at_least_float32(param.array) for param in self.params]
        out = self.directions(arrays)
        W, b = (*arrays, None)[:2]
        self.factors.precondition_rows(
            self.estimate, self.fresh, (*out, None)[:2], decay=decay, W=W, b=b)
        return out

    def end_step(self) -> None:
        """Forget what was recorded for this step."""
        self.uses = []
        self.estimate.clear()
        self.fresh = self.unformed = False

    def grouped(self, arrays):
        """Arrays like `params` by groups: (groups, n, d) and (groups, n) or None, as views."""
        weight = arrays[0].reshape(self.groups, len(arrays[0]) // self.groups, -1)
        return weight, arrays[1].reshape(weight.shape[:2]) if len(arrays) > 1 else None

    def directions(self, like):
        """Arrays like these for `precondition` to fill: the same memory at every call."""
        xp = chainer.backend.get_array_module(like[0])
        return [self._own.take(i, array.shape, array.dtype, xp)
                for i, array in enumerate(like)]

    # State

    def to_device(self, device: chainer.backend.Device) -> None:
        """Move the state to where the parameters are, after loading or after the model moved."""
        self.factors.to_device(device)
        self.estimate.to_device(device)

    def serialize(self, serializer, *, with_inverses: bool = True) -> None:
        """Save or load the state; ``with_inverses`` is false if the next step rebuilds them."""
        self.groups = serializer('groups', self.groups)
        self.planned = serializer('planned', self.planned)
        self.factors.serialize(serializer, with_inverses=with_inverses)
        self.estimate.serialize(serializer['estimate'])
