"""Chainer's functions on compiled kernels: the same results, several times faster on a CPU.

    import chainer_kfac
    chainer_kfac.functions.enable()          # for the whole process, or
    with chainer_kfac.functions.using():     # for a block

Any Chainer model is served. While enabled, `F.convolution_2d`, `F.max_pooling_2d`,
`F.spatial_pyramid_pooling_2d`, `F.relu` and `F.dropout` on float32 NumPy arrays run compiled code,
and so do `MomentumSGD`, `Adam` and `WeightDecay` that are set up then. Every other dtype, device
and backend, and a backward pass that is itself differentiated, run Chainer's own.
docs/performance.md has the figures.
"""
from chainer_kfac.functions.switch import disable, enable, enabled, stock_type, using, warm_up

__all__ = ['disable', 'enable', 'enabled', 'stock_type', 'using', 'warm_up']
