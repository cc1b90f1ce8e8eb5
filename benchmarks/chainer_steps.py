"""Training steps with Chainer: as it is, with the compiled functions, and with K-FAC."""
import contextlib
from unittest import mock

import chainer
import chainer.links as L
from chainer import optimizer_hooks

from benchmarks.clock import HostClock, cupy_clock
from chainer_kfac import functions, models, optimizers
from chainer_kfac.optimizers.recorder import Recorder

WEIGHT_DECAY = 5e-5


class GradientStep:
    """One update of an optimizer of Chainer's.

    Args:
        make (callable): the optimizer, not yet set up.
        x, t (arrays): a batch.
        fast (bool): with the compiled functions.
        weight_decay (float): coupled, 0 for none.
        device (str): Chainer's name of it.
    """

    def __init__(self, make, x, t, *, fast=True, weight_decay=0.0, device='@numpy'):
        self.fast = fast
        self.clock = HostClock() if device == '@numpy' else cupy_clock()
        self.device = chainer.get_device(device)
        with self._surroundings():
            self.model = L.Classifier(models.LeNet5())
            self.model.to_device(self.device)
            self.batch = self.device.send((x, t))
            self.optimizer = make().setup(self.model)
            if weight_decay:
                self.optimizer.add_hook(optimizer_hooks.WeightDecay(weight_decay))

    def __call__(self, *how) -> dict:
        """Make a step; seconds by phase."""
        with self._surroundings():
            self._step(*how)
            return self.clock.take()

    def _step(self):
        with self.clock.phase('forward'):
            loss = self.model(*self.batch)
        with self.clock.phase('backward'):
            self.model.cleargrads()
            loss.backward()
        with self.clock.phase('update'):
            self.optimizer.update()

    @contextlib.contextmanager
    def _surroundings(self):
        with chainer.using_device(self.device), functions.using(self.fast):
            yield


class KFACStep(GradientStep):
    """One update of K-FAC: ``step('factors')`` refreshes the factors whatever the interval says,
    ``step('inverses')`` the factors and the inverses, ``step()`` what is due.

    Args:
        x, t, weight_decay, device: as `GradientStep` takes them.
        options: of the optimizer.
    """

    def __init__(self, x, t, *, weight_decay=0.0, device='@numpy', **options):
        super().__init__(lambda: optimizers.KFAC(lr=1e-4, **options), x, t,
                         weight_decay=weight_decay, device=device)
        self._intervals = {name: options.get(name, 1) for name in (
            'factor_update_interval', 'inverse_update_interval')}
        for phase, methods in (('backward', ['backpropagate']), ('factors', ['update_factors']),
                               ('inverses', ['update_inverses']),
                               ('precondition', ['call_pre_hooks', 'precondition']),
                               ('update', ['check', 'update_parameters', 'finish'])):
            for method in methods:
                setattr(self.optimizer, method,
                        self.clock.timed(phase, getattr(self.optimizer, method)))

    def _step(self, refresh=None):
        for name, interval in self._intervals.items():
            forced = refresh == 'inverses' or refresh == 'factors' and name.startswith('factor')
            setattr(self.optimizer, name, 1 if forced else interval)
        recorded = self.clock.timed('factors', Recorder.backward_preprocess)
        with mock.patch.object(Recorder, 'backward_preprocess', recorded):
            self.optimizer.update(self.clock.timed('forward', self.model), *self.batch)
