"""What one optimizer step says about a block: its factors, or the rows they are made of.

Scales (paper section 2.5). With N examples and R rows (examples x positions, over all uses of the
layer), rows a of inputs and rows g~ of the gradients of the *mean* loss,

    A = 1/N sum a a^T,        G = N s / R sum g~ g~^T,

where the loss is a mean over s terms, each of them -log p of one observation. For the usual mean
over examples s = N, and G = 1/R sum g g^T with g = N g~, the gradient of one example's loss.
Labels that are left out lower s, to 0 if all are; a loss averaged over pixels raises it.

Micro-batches add up to one large batch: A is averaged with weights N, gradients with weights s,
and G with weights R s / N.
"""
from typing import NamedTuple

import chainer

from chainer_kfac.fisher.factors import at_least_float32
from chainer_kfac.fisher.state import serialize_array
from chainer_kfac.linalg import Later, is_on_host


class Batch(NamedTuple):
    """What one backward pass averaged over, and what its loss was multiplied by.

    ``terms`` may still be on the device.
    """

    examples: int
    terms: float | Later
    loss_scale: float = 1.0


class Use:
    """One call of a layer's function within one forward pass.

    Attributes:
        output: the `chainer.variable.VariableNode` that the call produced.
        examples (int): length of the batch axis of its input.
        rows (int): examples x positions.
        A, G (arrays or None): the factors of this call alone, scaled as if its own batch axis
            were N and s.
        x, gy (arrays or None): input and output-gradient rows, where they are needed later.
        sampled (list of arrays): output gradients of the sampled or exact Fisher, likewise.
    """

    __slots__ = ('A', 'G', 'examples', 'gy', 'output', 'rows', 'sampled', 'x')

    def __init__(self, output, examples, rows):
        self.output = output
        self.examples = examples
        self.rows = rows
        self.A = self.G = self.x = self.gy = None
        self.sampled = []


class Estimate:
    """Factors and rows of one step, over uses and micro-batches.

    Attributes:
        A, G (arrays or None): factors, averaged over the micro-batches so far.
        examples, terms, share (float): sums over micro-batches of N, s and R s / N. The s of the
            first of them is waited for when `terms` or `share` is first read.
        is_entire (bool): whether the rows say everything about the gradient of the weight.
    """

    def __init__(self):
        self.clear()

    def clear(self):
        """Forget everything."""
        self.A = self.G = None
        self.examples = self._terms = self._share = 0.0
        self._late = None       # a batch whose terms are not in the sums yet, and its rows
        self._rows = {'x': [], 'gy': [], 'sampled': []}
        self._joined = {}
        self.is_entire = True

    def add(self, uses, batch: Batch):
        """Take in one forward and backward pass; the factors of ``uses`` may be overwritten."""
        rows = sum(use.rows for use in uses)
        first = not self.examples
        terms = batch.terms
        if isinstance(terms, Later):
            terms = terms.array if first else float(terms)
        terms_per_example = terms / batch.examples
        self.A = _average(self.A, self.examples, batch.examples, [
            (use.A, use.examples / batch.examples) for use in uses])
        # Of a first batch the weight in the average does not count.
        weights = (0.0, 1.0) if first else (self.share, rows * terms_per_example)
        self.G = _average(self.G, *weights, [
            (use.G, terms_per_example * (use.rows / rows)
             * (batch.examples / use.examples / batch.loss_scale) ** 2) for use in uses])
        self.examples += batch.examples
        self._late = batch, rows
        self._joined = {}
        for use in uses:
            if use.x is not None:
                self._rows['x'].append((at_least_float32(use.x), 1.0))
                self._rows['gy'].append((at_least_float32(use.gy), None))
            self._rows['sampled'] += [(at_least_float32(gy), None) for gy in use.sampled]
        if not isinstance(batch.terms, Later):
            self._settle()

    def _settle(self):
        """Take the newest batch's terms into the sums and into the weights of its rows."""
        if self._late is None:
            return
        (batch, rows), self._late = self._late, None
        terms = float(batch.terms)
        self._terms += terms
        self._share += rows * (terms / batch.examples)
        self._rows = {name: [(array, terms / batch.loss_scale if weight is None else weight)
                             for array, weight in kept] for name, kept in self._rows.items()}

    def complete(self, examples: int, terms: float) -> None:
        """Count micro-batches that did not use the layer, given N and s of the whole update.

        To A they are inputs of 0, and their terms are in the mean that the gradients are of.
        """
        if not self.examples:
            return
        if self.A is not None and self.examples != examples:
            self.A *= self.examples / examples
        self.examples, self.terms = float(examples), terms

    @property
    def terms(self) -> float:
        self._settle()
        return self._terms

    @terms.setter
    def terms(self, value):
        self._settle()
        self._terms = value

    @property
    def share(self) -> float:
        self._settle()
        return self._share

    @share.setter
    def share(self, value):
        self._settle()
        self._share = value

    @property
    def has_rows(self) -> bool:
        """Whether `inputs` and `gradients` are there."""
        return bool(self._rows['x'])

    @property
    def is_sampled(self) -> bool:
        """Whether the Fisher's output gradients are others than the gradient's."""
        return bool(self._rows['sampled'])

    @property
    def inputs(self):
        """x: the input rows of all micro-batches."""
        return self._whole('x', 1.0)

    @property
    def gradients(self):
        """gy: the output-gradient rows, such that the gradient is gy^T [x, 1]."""
        return self._whole('gy', self.terms)

    @property
    def rows_A(self):
        """(x, s) with A = s [x, 1]^T [x, 1]; (None, s) without rows."""
        return self.inputs if self.has_rows else None, self.scale_A

    @property
    def rows_G(self):
        """(g, s) with G = s g^T g; for the empirical Fisher g is `gradients` itself."""
        rows = None
        if self.is_sampled:
            rows = self._whole('sampled', self.terms)
        elif self._rows['gy']:
            rows = self.gradients
        return rows, self.scale_G

    @property
    def scale_A(self) -> float:
        """The s of `rows_A`."""
        return 1.0 / (self.examples or 1.0)

    @property
    def scale_G(self) -> float:
        """The s of `rows_G`; 1 without a single term, when the rows are zero: it is divided by."""
        return self.terms ** 2 / self.share if self.share else 1.0

    def _whole(self, name, total):
        if name not in self._joined:
            self._joined[name] = _joined(self._rows[name], total)
        return self._joined[name]

    def set_rows(self, rows: dict) -> None:
        """Replace rows by those of a whole batch, spread over processes or not.

        Args:
            rows (dict of arrays): 'x' as `inputs`, 'gy' as `gradients`, 'sampled' as `rows_G`.
        """
        for kind, whole in rows.items():
            self._rows[kind] = [(whole, 1.0 if kind == 'x' else self.terms)]
            self._joined.pop(kind, None)

    def witnesses(self) -> list:
        """Arrays that are finite if and only if all factors and rows are.

        A second moment has a NaN or an infinity anywhere only if it has one on the diagonal.
        """
        diagonals = [factor.diagonal(axis1=-2, axis2=-1)
                     for factor in (self.A, self.G) if factor is not None]
        return diagonals + [rows for kept in self._rows.values() for rows, _ in kept]

    def serialize(self, serializer):
        """Between the micro-batches of one update a snapshot holds their sums."""
        self.A = serialize_array(serializer, 'A', self.A)
        self.G = serialize_array(serializer, 'G', self.G)
        for name in ('examples', 'terms', 'share'):
            setattr(self, name, serializer(name, float(getattr(self, name))))
        self.is_entire = serializer('is_entire', self.is_entire)
        self._joined = {}
        for name, kept in self._rows.items():
            parts = serializer('parts_' + name, len(kept))
            kept = (kept + [(None, 1.0)] * parts)[:parts]
            self._rows[name] = [
                (serialize_array(serializer, '{}_{}'.format(name, i), rows),
                 serializer('weight_{}_{}'.format(name, i), float(weight)))
                for i, (rows, weight) in enumerate(kept)]

    def to_device(self, device):
        """Move to a device, after loading."""
        self.A, self.G = device.send(self.A), device.send(self.G)
        self._rows = {name: [(device.send(rows), weight) for rows, weight in kept]
                      for name, kept in self._rows.items()}


def _average(mean, weight, weight_of_new, factors):
    """Weighted mean of an average so far and of the sum w M over ``factors`` = [(M, w), ...].

    In the memory of the factors; None if there are none.
    """
    if factors[0][0] is None:
        return mean
    new = None
    for matrix, factor in factors:
        if not is_on_host(factor) or factor != 1:
            matrix *= factor
        if new is None:
            new = matrix
        else:
            new += matrix
    if mean is None:
        return new
    new -= mean
    new *= weight_of_new / ((weight + weight_of_new) or 1.0)
    mean += new
    return mean


def _joined(kept, total):
    """Rows one below the other, each part times its weight / ``total``."""
    parts = [rows if weight == total else rows * rows.dtype.type(weight / (total or 1.0))
             for rows, weight in kept]
    if len(parts) == 1:
        return parts[0]
    return chainer.backend.get_array_module(parts[0]).concatenate(parts)
