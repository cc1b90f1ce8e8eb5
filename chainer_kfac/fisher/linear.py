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
    position of one (`fisher.estimate`). The rows themselves are kept for the step, and factors are
    formed from them if and where the path needs them.
    """

    function_class = LinearFunction

    def __init__(self, link, name, workspace=None):
        super().__init__(link, name, workspace)
        self.keeps_rows = True

    def use_of(self, function, x, gy):
        return Use(function.outputs[0](), len(x), len(x))

    def input_factor(self, function, x, bias):
        return linear_A(x, bias)

    def output_factor(self, gy):
        return linear_G(gy)

    def record(self, function, x, gy, *, want_A, want_G):
        if self.b is not None and not self.has_bias(function):
            # To the bias the input is 0 here, which rows with a 1 at the end cannot say.
            self._give_up_rows()
            super().record(function, x, gy, want_A=want_A, want_G=want_G)
            return
        super().record(function, x, gy, want_A=False, want_G=False)
        if want_A or self.factors.path.thin:
            self.uses[-1].x, self.uses[-1].gy = x, gy

    def record_sample(self, use, gy):
        if self.factors.path.rows_G:
            use.sampled.append(gy)
        else:
            super().record_sample(use, gy)

    def close(self, batch):
        if not self.keeps_rows:
            for use in self.uses:
                if use.x is not None:
                    use.A = linear_A(use.x, self.b is not None)
                    use.G = linear_G(use.gy) if use.G is None else use.G
                    use.x = use.gy = None
        super().close(batch)

    def _give_up_rows(self):
        path = self.factors.path
        if path.rows_A or path.rows_G or path.thin or self.estimate.has_rows:
            raise ConfigError("{} was called without its bias, which its path {} cannot do: choose "
                              "paths={{{!r}: 'inverse'}}".format(self.name, path, self.name))
        self.keeps_rows = False
