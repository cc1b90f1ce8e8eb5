"""One run, from its configuration to ``result.json``."""
import contextlib
import logging
import os
from collections.abc import Callable
from typing import Any

import chainer
import numpy as np
from chainer import training

from chainer_kfac import functions
from chainer_kfac.communicators import world
from chainer_kfac.communicators.agreement import agree
from chainer_kfac.exceptions import DivergedError
from chainer_kfac.training import builders, memory, record, run_directory
from chainer_kfac.training import device as devices
from chainer_kfac.training.config import RunConfig
from chainer_kfac.training.extensions import (
    BestEpoch,
    Communication,
    Curvature,
    EpochCallback,
    Evaluator,
    FailOnDivergence,
    LearningRate,
    MasterWeights,
    PeakMemory,
    RandomState,
    SameData,
    SharedLog,
    SnapshotTrigger,
    each_epoch,
    extend_with_progress,
    resume,
    snapshot,
)
from chainer_kfac.training.stop import Interrupted, Stop

logger = logging.getLogger(__name__)


def run(config: RunConfig, directory: str | os.PathLike, *, force: bool = False,
        on_epoch: Callable[[dict], None] | None = None, progress: str = 'auto',
        comm=None) -> dict[str, Any]:
    """Train, or go on training, and leave the record of it in a directory.

    A finished run is not computed again: its result is read. An unfinished one goes on from its
    last snapshot, and on a CPU ends with the numbers of an uninterrupted one, bit for bit.

    With ``comm``, every rank must call this with the same arguments, and each batch is shared among
    the ranks. Rank 0 alone reads and writes the directory. An unfinished run may go on with
    another number of ranks. A rank that is lost, or raises what the others do not, ends all.

    Args:
        config (RunConfig): the run.
        directory (path): where its record is; made if need be.
        force (bool): discard what the directory holds.
        on_epoch (callable): called with each epoch's log entry; may raise `StopRun`.
        progress (str): 'auto', 'bar', 'lines' or 'none'.
        comm (None, world.Ranks, or a communicator of `chainer_kfac.create_communicator`): who
            trains; this process alone by default.
    Returns:
        dict: the content of ``result.json``.
    Raises:
        ConfigError, DataError: what cannot be built, or does not fit on the GPU; nothing has been
            written then.
        RunDirectoryError: the directory belongs to another run or process, or cannot be written.
        DivergedError: a loss or parameter became NaN or infinite; ``diverged.json`` says when.
        Interrupted: a signal came; there is a snapshot of the step that it let finish.
    """
    place = run_directory.RunDirectory(directory)
    with world.of(comm) as ranks, ranks.unanimous():
        agree(ranks, '', config.dump(), 'train the same configuration on all ranks')
        if not force:
            result = ranks.first(place.check, config)
            if result is not None:
                logger.info('%s is finished: best validation accuracy %.4f', place.path,
                            result['best_val_acc'])
                return result
        with _surroundings(config, ranks) as device:
            job = _Job(config, device, place, on_epoch, progress, ranks, force)
            with ranks.first_holds(place.opened(config, force)), place.disk_errors('save the run'):
                return job.complete()


@contextlib.contextmanager
def _surroundings(config, ranks):
    """Seed, dtype, device and fast functions for the block; the caller's come back after it."""
    device = devices.of_rank(config.device, ranks)
    dtype = chainer.mixed16 if config.dtype == 'mixed16' else np.dtype(config.dtype)
    state = np.random.get_state()
    try:
        with (chainer.using_device(device), functions.using(config.fast),
              chainer.using_config('dtype', dtype)):
            np.random.seed(config.seed)
            yield device
    finally:
        np.random.set_state(state)


class _Job:
    """The objects of one run, and what is done with them in which order."""

    def __init__(self, config, device, place, on_epoch, progress, ranks, force):
        self.config, self.device, self.place, self.ranks = config, device, place, ranks
        self.data = builders.data(config, device, ranks)
        n_train = len(self.data.source.train_x)
        self.stop = Stop(config.length(n_train), ranks, force)
        self.model = builders.model(config, int(self.data.source.train_t.max()) + 1)
        ranks.together(memory.check, config, self.model, self.data.train, device)
        self.model.to_device(device)
        if ranks.communicator is not None:
            builders.share_parameters(config, self.model, self.data.train, device,
                                      ranks.communicator)
        self.best = BestEpoch(self.model if self.data.test is not None else None)
        self.memory = PeakMemory(ranks)
        self.trainer = self._trainer(on_epoch, progress)
        logger.info('%s: %d epochs of %.4g updates on %s, %s%s', place.path, self.stop.epochs,
                    n_train / config.batch_size, self.data.source.label,
                    '{} ranks on '.format(ranks.size) if ranks.size > 1 else '',
                    devices.name(device))

    def _trainer(self, on_epoch, progress):
        config, convert, ranks = self.config, builders.converter(self.config), self.ranks
        optimizer = builders.optimizer(config, self.model, ranks.communicator)
        updater = builders.updater(config, self.data.train, optimizer, self.device,
                                   ranks.communicator)
        trainer = training.Trainer(updater, self.stop, out=str(self.place.path))
        guard = FailOnDivergence(ranks, interval=1 if self.device.xp is np else 50)
        trainer.extend(lambda _: self.stop.read_signal(), name='signal', priority=1000)
        trainer.extend(Evaluator(self.data.validation, self.model, convert, self.device, ranks),
                       trigger=each_epoch)
        trainer.extend(LearningRate(builders.RATE[config.optimizer]), trigger=each_epoch)
        trainer.extend(guard)
        trainer.extend(self.best, trigger=each_epoch)
        trainer.extend(self.memory, trigger=each_epoch)
        if ranks.communicator is not None:
            trainer.extend(Communication(ranks.communicator), trigger=each_epoch)
        trainer.extend(SharedLog(ranks, each_epoch, run_directory.LOG), name='LogReport')
        extend_with_progress(trainer, self.stop.epochs, progress if ranks.rank == 0 else 'none')
        trainer.extend(SameData(self.data.source.digest))
        if builders.has_masters(config):
            trainer.extend(MasterWeights(optimizer))
        decay = builders.schedule(config)
        if decay is not None:
            trainer.extend(decay[0], trigger=decay[1])
        if config.curvature_epochs:
            trainer.extend(Curvature(config.curvature_epochs, ranks), trigger=each_epoch)
        trainer.extend(RandomState(config.seed, ranks))
        trigger = SnapshotTrigger(self.stop, ranks)
        trainer.extend(snapshot(lambda: guard.check_parameters(trainer) is None, ranks,
                                trigger.written), name='snapshot', trigger=trigger)
        if on_epoch is not None:
            trainer.extend(EpochCallback(on_epoch, self.stop, ranks), trigger=each_epoch)
        return trainer

    def complete(self):
        """Resume if there is something to resume, train, and write the result."""
        resume(self.trainer, self.place, self.ranks)
        try:
            with self.stop.listening():
                self.trainer.run(show_loop_exception_msg=False)
        except DivergedError as error:
            self.ranks.first(self._record_divergence, error)
            raise
        updater = self.trainer.updater
        if self.stop.signum is not None and updater.epoch < self.stop.epochs:
            raise Interrupted(
                self.stop.signum, 'interrupted at iteration {}, snapshot saved in {}: {} goes '
                'on from there'.format(updater.iteration, self.place.path, self.stop.again))
        counts = getattr(updater.get_optimizer('main'), 'diagnostics', None)
        result = record.result(
            self.config, self.data, self.trainer.get_extension('LogReport').log, self.best,
            self.device, self.memory.megabytes, test_acc=self._test(), stopped=self.stop.reason,
            counts=None if counts is None else dict(counts), ranks=self.ranks)
        self.ranks.first(self.place.finish, run_directory.RESULT, result)
        logger.info('%s: best validation accuracy %.4f (epoch %d), last %.4f', self.place.path,
                    result['best_val_acc'], result['best_epoch'], result['last_val_acc'])
        return result

    def _test(self):
        """Accuracy on the test images with the weights of the best epoch, if others chose it."""
        if self.data.test is None:
            return None
        self.best.restore()
        evaluator = Evaluator(self.data.test, self.model, builders.converter(self.config),
                              self.device, self.ranks)
        evaluator.name = 'test'
        return evaluator()['test/main/accuracy']

    def _record_divergence(self, error):
        updater = self.trainer.updater
        self.place.finish(run_directory.DIVERGED, {
            'format': record.FORMAT, 'reason': str(error), 'epoch': updater.epoch,
            'iteration': updater.iteration, 'config_digest': self.config.digest})
