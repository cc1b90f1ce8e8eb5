"""The objective of the paper: 1 - best accuracy of a training run."""
import dataclasses
import functools
import math

from chainer_kfac import datasets
from chainer_kfac.exceptions import ConfigError, RunDirectoryError
from chainer_kfac.search.objectives import Objective, register
from chainer_kfac.search.progress import Pruned
from chainer_kfac.sweeps.profiles import Profile
from chainer_kfac.training import RunConfig, StopRun
from chainer_kfac.training import run as train

_SCALE = 'lr_decay_epoch_scale'
_FIELDS = {each.name for each in dataclasses.fields(RunConfig)}
_NOT_SETTINGS = {'experiment', 'variant', 'device', 'curvature_epochs'}  # the worker's own
_LARGEST = {'epochs': 10_000, 'min_updates': 1_000_000, 'batch_size': 1_048_576, 'acc_iters': 4096,
            'train_size': 10_000_000, 'test_size': 10_000_000}
"""Beyond these a document is taken to be hostile or a slip, not a wish."""
_REPORTED = ('main/loss', 'main/accuracy', 'validation/main/loss', 'elapsed_time', 'lr')
_KEPT = ('best_val_acc', 'best_epoch', 'last_val_acc', 'test_acc', 'device')
_CIFAR10_SIZE = 50_000


@register('train')
class Train(Objective):
    """Trains as ``chainer-kfac train`` does, in the trial's folder, and resumes there.

    The settings are fields of ``RunConfig`` and the profile's ``lr_decay_epoch_scale``; the values
    are fields too, in the units of Table 1.
    """

    protocol = '1'

    def check_settings(self, settings):
        unknown = sorted(set(settings) - (_FIELDS - _NOT_SETTINGS) - {_SCALE})
        if unknown:
            raise ConfigError('a trial has no setting {}'.format(', '.join(unknown)))
        for key, largest in _LARGEST.items():
            value = settings.get(key)
            if value is not None and not (isinstance(value, int) and 0 <= value <= largest):
                raise ConfigError('{} must be a whole number up to {}, got {!r:.60}'.format(
                    key, largest, value))
        scale = settings.get(_SCALE, 1.0)
        if isinstance(scale, bool) or not isinstance(scale, (int, float)) or not 0 < scale <= 1:
            raise ConfigError('{} must be a number above 0 and up to 1, got {!r:.60}'.format(
                _SCALE, scale))

    def check_values(self, values, settings):
        self.config(values, settings)

    def config(self, values, settings, device: str | int = 'auto') -> RunConfig:
        """The run of a trial; raises ConfigError."""
        settings = dict(settings)
        shape = {key: settings.pop(key) for key in ('epochs', 'min_updates', 'train_size',
                                                    'test_size', _SCALE) if key in settings}
        profile = Profile(name=settings.pop('profile', 'custom'), **shape)
        return RunConfig.parse({**profile.apply({**settings, **values}), 'experiment': 'search',
                                'device': device}, place='the trial')

    def epochs(self, settings):
        images = settings.get('train_size') or _CIFAR10_SIZE
        return max(settings['epochs'], math.ceil(
            settings.get('min_updates', 0) * settings['batch_size'] / images))

    def data(self, settings):
        return _digest(settings.get('dataset', 'cifar10'), settings.get('train_size'),
                       settings.get('test_size'))

    def evaluate(self, values, settings, progress):
        config = self.config(values, settings, progress.device)

        def on_epoch(entry):
            scalars = {key.replace('/', '_'): entry[key] for key in _REPORTED if key in entry}
            try:
                progress.report(entry['epoch'], 1 - entry['validation/main/accuracy'], **scalars)
            except Pruned as pruned:
                raise StopRun(pruned.rule) from None

        result = self._train(config, progress.directory, on_epoch, progress.ranks)
        best = {key: result[key] for key in _KEPT if key in result}
        return {'loss': 1 - result['best_val_acc'], 'pruned': result.get('stopped'),
                'epochs': result['epochs'], **best}

    @staticmethod
    def _train(config, directory, on_epoch, ranks):
        try:
            return train(config, directory, on_epoch=on_epoch, progress='none', comm=ranks)
        except RunDirectoryError:
            # An earlier attempt that is not quite dead holds the folder, or it ran elsewhere with
            # other settings of this machine: begin anew beside it.
            beside = directory.with_name(directory.name + '-anew')
            if ranks.first(beside.exists):
                raise
            return train(config, beside, on_epoch=on_epoch, progress='none', comm=ranks)


@functools.lru_cache(maxsize=4)
def _digest(name, train_size, test_size):
    return datasets.load(name, train_size, test_size).digest
