"""Several runs in order: which, how long and on what, and each in a process of its own."""
from chainer_kfac.sweeps.cells import Cell
from chainer_kfac.sweeps.profiles import Profile
from chainer_kfac.sweeps.runner import Sweep
from chainer_kfac.sweeps.shared import SharedSweep

__all__ = ['Cell', 'Profile', 'SharedSweep', 'Sweep']
