"""Every initializer of Chainer: the array that it makes."""
import chainer
from chainer import initializers as I


def make(initializer, *shape):
    """The array of ``shape`` that ``initializer`` fills."""
    return I.generate_array(initializer, shape, chainer.get_device('@numpy').xp)


CASES = {
    'Constant': lambda c: make(I.Constant(0.5), 2, 3),
    'Constant@array': lambda c: make(I.Constant(c.array(2, 3).astype('d')), 2, 3),
    'DownsamplingConvFilter': lambda c: make(I.DownsamplingConvFilter(), 2, 2, 4, 4),
    'GlorotNormal': lambda c: make(I.GlorotNormal(), 3, 2, 2, 2),
    'GlorotUniform': lambda c: make(I.GlorotUniform(), 3, 4),
    'HeNormal': lambda c: make(I.HeNormal(fan_option='fan_out'), 3, 2, 2, 2),
    'HeUniform': lambda c: make(I.HeUniform(), 3, 4),
    'Identity': lambda c: make(I.Identity(2), 3, 3),
    'LeCunNormal': lambda c: make(I.LeCunNormal(), 3, 2, 2, 2),
    'LeCunUniform': lambda c: make(I.LeCunUniform(), 3, 4),
    'NaN': lambda c: make(I.NaN(), 2),
    'Normal': lambda c: make(I.Normal(0.5), 3, 4),
    'One': lambda c: make(I.One(), 2),
    'Orthogonal': lambda c: abs(make(I.Orthogonal(mode='projection'), 3, 4)),
    'Uniform': lambda c: make(I.Uniform(0.5), 3, 4),
    'UpsamplingDeconvFilter': lambda c: make(I.UpsamplingDeconvFilter(), 2, 2, 4, 4),
    'Zero': lambda c: make(I.Zero(), 2),
    'generate_array': lambda c: I.generate_array(
        I.Constant(0.5), (2, 3), chainer.get_device('@numpy').xp, dtype=c.dtype),
}
