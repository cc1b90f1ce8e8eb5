"""One run: its configuration, the objects it is made of, the folder it leaves behind."""
from chainer_kfac.training import run_directory
from chainer_kfac.training.config import RunConfig
from chainer_kfac.training.extensions import Interrupted, StopRun
from chainer_kfac.training.run import run

__all__ = ['Interrupted', 'RunConfig', 'StopRun', 'run', 'run_directory']
