"""Fisher block of a two-dimensional convolution."""
import chainer.links as L
from chainer.functions.connection.convolution_2d import Convolution2DFunction

from chainer_kfac.exceptions import ConfigError
from chainer_kfac.fisher.base import FisherBlock
from chainer_kfac.fisher.estimate import Use
from chainer_kfac.fisher.factors import conv_A, conv_G
from chainer_kfac.fisher.registry import register


@register(L.Convolution2D)
class Convolution2DBlock(FisherBlock):
    """A over patches and G over positions, with KFC's scaling: arXiv:1602.01407.

    Stride, pad, dilation and groups are those of the recorded call, so that the link's weight may
    also be used through `chainer.functions.convolution_2d`. Each group of channels has factors of
    its own, for the gradient of one group's weights depends on that group's channels alone.
    """

    function_class = Convolution2DFunction

    def use_of(self, function, x, gy):
        if function.cover_all:
            raise ConfigError('{} was called with cover_all=True, which K-FAC does not cover: pad '
                              'its input instead'.format(self.name))
        self.set_groups(function.groups)
        return Use(function.outputs[0](), len(x), len(x) * gy.shape[2] * gy.shape[3])

    def input_factor(self, function, x, bias):
        return conv_A(x, self.W.shape[2:], (function.sy, function.sx), (function.ph, function.pw),
                      (function.dy, function.dx), function.groups, bias,
                      workspace=self.workspace)

    def output_factor(self, gy):
        return conv_G(gy, self.groups)
