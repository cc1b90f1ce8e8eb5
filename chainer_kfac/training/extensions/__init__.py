"""Trainer extensions of a run, one a file."""
from chainer_kfac.training.extensions.best_epoch import BestEpoch
from chainer_kfac.training.extensions.communication import Communication
from chainer_kfac.training.extensions.curvature import Curvature
from chainer_kfac.training.extensions.epoch_callback import EpochCallback
from chainer_kfac.training.extensions.evaluator import Evaluator
from chainer_kfac.training.extensions.fail_on_divergence import FailOnDivergence
from chainer_kfac.training.extensions.learning_rate import LearningRate
from chainer_kfac.training.extensions.master_weights import MasterWeights
from chainer_kfac.training.extensions.peak_memory import PeakMemory
from chainer_kfac.training.extensions.progress import extend_with_progress
from chainer_kfac.training.extensions.random_state import RandomState
from chainer_kfac.training.extensions.same_data import SameData
from chainer_kfac.training.extensions.shared_log import SharedLog
from chainer_kfac.training.extensions.snapshot import resume, snapshot
from chainer_kfac.training.extensions.triggers import Every, SnapshotTrigger, each_epoch

__all__ = ['BestEpoch', 'Communication', 'Curvature', 'EpochCallback', 'Evaluator', 'Every',
           'FailOnDivergence', 'LearningRate', 'MasterWeights', 'PeakMemory',
           'RandomState', 'SameData', 'SharedLog', 'SnapshotTrigger', 'each_epoch',
           'extend_with_progress', 'resume', 'snapshot']
