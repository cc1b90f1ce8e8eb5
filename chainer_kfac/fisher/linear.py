"""Fisher block of a fully connected layer."""
import chainer.links as L
from chainer.functions.connection.linear import LinearFunction

from chainer_kfac.exceptions import ConfigError
from chainer_kfac.fisher.base import FisherBlock
from chainer_kfac.fisher.estimate import Use
from chainer_kfac.fisher.factors import linear_A, linear_G
from chainer_kfac.fisher.registry import register


@register(L.Linear)
class LinearBlock(FisherBlock):
    """A = 1/N sum (x, 1)(x, 1)^T and G = 1/N sum g g^T: paper section 2.5; arXiv:1503.05671.

    With ``n_batch_axes`` > 1 every row is an example or, where the loss tells otherwise, a
    position of one (`fisher.estimate`).
    """

    function_class = LinearFunction

    def use_of(self, function, x, gy):
        return Use(function.outputs[0](), len(x), len(x))

    def input_factor(self, function, x, bias):
        return linear_A(x, bias)

    def output_factor(self, gy):
        return linear_G(gy)

    def record(self, function, x, gy, *, want_A, want_G):
        path = self.factors.path
        super().record(function, x, gy, want_A=want_A and not path.rows_A,
                       want_G=want_G and not path.rows_G)
        if path.keeps_rows:
            self._check_rows(function)
            self.uses[-1].x, self.uses[-1].gy = x, gy

    def record_sample(self, use, gy):
        if self.factors.path.rows_G:
            use.sampled.append(gy)
        else:
            super().record_sample(use, gy)

    def _check_rows(self, function):
        if self.b is not None and not self.has_bias(function):
            raise ConfigError("{} was called without its bias, which its path {} cannot do: choose "
                              "paths={{{!r}: 'inverse'}}".format(
                                  self.name, tuple(self.factors.path), self.name))
