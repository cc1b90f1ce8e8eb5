"""``RunConfig``: everything that decides what a run computes."""
import contextlib
import dataclasses
import hashlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from chainer_kfac.exceptions import ConfigError
from chainer_kfac.training import fields
from chainer_kfac.training.fields import field, of, optional

FORMAT = 1
"""Version of ``config.yaml``; it grows when a field changes its meaning, not when one is added."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig:
    """One run. A field is a key of the YAML file, a ``key=value`` flag and a column of a table.

    ``optimizer``, ``epochs`` and ``lr`` have no default. A field that the optimizer does not have
    is None and refuses any other value; one that it has is never left to chance: the default is
    filled in here and written out by ``dump``.

    Raises:
        ConfigError: naming the field, the value and what it must be.
    """

    # what names the run: together with dataset, optimizer, batch_size and seed it is its path
    experiment: str = field(fields.name(), 'train')
    profile: str = field(fields.name(), 'custom')
    variant: str = field(fields.name(empty=True), '')
    # data: train_size and test_size cut the sets, or repeat a stand-in that is smaller
    dataset: str = field(fields.name(), 'cifar10')
    train_size: int | None = optional(fields.integer(1))
    test_size: int | None = optional(fields.integer(1))
    augment: bool = field(fields.switch(), True)
    select_on: str = field(fields.choice('test', 'holdout'), 'test')
    # model
    model: str = field(fields.name(), 'lenet5')
    dropout: float = field(fields.number(at_least=0, below=1), 0.5)
    dtype: str = field(fields.choice('float16', 'mixed16', 'float32', 'float64'), 'float32')
    # length: at least `epochs` epochs, and more where those are fewer than `min_updates` updates
    epochs: int = field(fields.integer(1))
    min_updates: int = field(fields.integer(0), 0)
    batch_size: int = field(fields.integer(1), 128)
    acc_iters: int = field(fields.integer(1), 1)
    seed: int = field(fields.integer(0), 0)
    # optimizer
    optimizer: str = field(fields.choice(*fields.OPTIMIZERS))
    lr: float = field(fields.number(above=0))
    lr_decay: float = field(fields.number(above=0), 1.0)
    lr_decay_epoch: int | None = optional(fields.integer(1))
    weight_decay: float = field(fields.number(at_least=0), 0.0)
    loss_scale: float | None = optional(fields.number(above=0))
    momentum: float | None = of('momentum_sgd kfac', fields.number(at_least=0, below=1), 0.9)
    beta1: float | None = of('adam', fields.number(at_least=0, below=1), 0.9)
    beta2: float | None = of('adam', fields.number(at_least=0, below=1), 0.999)
    eta: float | None = of('adam', fields.number(above=0), 1.0)
    eps: float | None = of('adam', fields.number(above=0), 1e-8)
    cov_ema_decay: float | None = of('kfac', fields.number(at_least=0, at_most=1), 0.99)
    damping: float | None = of('kfac', fields.number(above=0), 0.03)
    ema_weighs: str | None = of('kfac', fields.choice('new', 'old'), 'new')
    fisher: str | None = of('kfac', fields.choice('empirical', 'mc', 'exact'), 'empirical')
    factor_update_interval: int | None = of('kfac', fields.integer(1), 1)
    inverse_update_interval: int | None = of('kfac', fields.integer(1), 1)
    stab_coeff: float | None = of('kfac', fields.number(above=0), 16.0)
    pi_type: str | None = of('kfac', fields.choice('tracenorm', 'none'), 'tracenorm')
    use_cholesky: bool | None = of('kfac', fields.switch(), True)
    adjust_momentum: bool | None = of('kfac', fields.switch(), False)
    kl_clip: float | None = of('kfac', fields.number(above=0))
    # after which epochs K-FAC writes the eigenvalues of its factors to spectra.npz
    curvature_epochs: tuple[int, ...] | None = optional(fields.integers(1))
    # where it is computed
    device: str | int = field(fields.device(), 'auto')
    fast: bool = field(fields.switch(), True)

    def __post_init__(self):
        for each in dataclasses.fields(self):
            value = each.metadata['kind'].check(each.name, getattr(self, each.name))
            object.__setattr__(self, each.name, value)
        for each in dataclasses.fields(self):
            self._fill(each.name, each.metadata['kind'])
        _check_together(self)

    def _fill(self, key, kind):
        if kind.optimizers is None:
            return
        value = getattr(self, key)
        if self.optimizer in kind.optimizers:
            object.__setattr__(self, key, kind.filled if value is None else value)
        elif value is not None:
            raise fields.FieldError(key, 'belongs to {} and not to optimizer {}, got {!r}'.format(
                ' and '.join(kind.optimizers), self.optimizer, value))

    @classmethod
    def load(cls, path: str | os.PathLike, overrides: Sequence[str] = ()) -> 'RunConfig':
        """Read a YAML file that holds one mapping; see `parse`."""
        return cls.parse(read_mapping(path), overrides, place=str(path))

    @classmethod
    def parse(cls, values: Mapping[str, Any], overrides: Sequence[str] = (),
              place: str = 'the given values') -> 'RunConfig':
        """A configuration from a mapping, after ``key=value`` texts have replaced its values.

        Raises:
            ConfigError: naming the key, the value, and the place or the flag it comes from.
        """
        sourced = {key: (value, place) for key, value in values.items()}
        for text in overrides:
            sourced.update(_override(text))
        version, place = sourced.pop('format', (FORMAT, None))
        if version != FORMAT:
            raise ConfigError('format must be {}, got {!r} (in {}); it was written by another '
                              'version of chainer_kfac'.format(FORMAT, version, place))
        return _build(cls, sourced)

    def dump(self) -> dict[str, Any]:
        """Every field with its value, after the format version."""
        return {'format': FORMAT, **dataclasses.asdict(self)}

    def length(self, n_train: int) -> int:
        """Epochs of a run on that many images: enough for ``epochs`` and for ``min_updates``."""
        return length(dataclasses.asdict(self), n_train)

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits that two configurations share only if they are equal."""
        text = json.dumps(self.dump(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def length(settings: Mapping[str, Any], n_train: int) -> int:
    """`RunConfig.length` of a configuration that was only read."""
    return max(settings['epochs'],
               math.ceil(settings['min_updates'] * settings['batch_size'] / n_train))


def _check_together(config):
    if config.batch_size % config.acc_iters:
        raise fields.FieldError('acc_iters', 'must divide batch_size {}, got {}'.format(
            config.batch_size, config.acc_iters))
    if config.lr_decay != 1 and config.lr_decay_epoch is None:
        raise fields.FieldError('lr_decay', 'needs lr_decay_epoch, got {} without it'.format(
            config.lr_decay))
    frozen = {'new': 0, 'old': 1}.get(config.ema_weighs)
    if frozen is not None and config.cov_ema_decay == frozen:
        raise fields.FieldError('cov_ema_decay', 'must not be {} with ema_weighs {}: the factors '
                                'would never change'.format(frozen, config.ema_weighs))
    chosen = config.curvature_epochs
    if chosen is not None and config.optimizer != 'kfac':
        raise fields.FieldError('curvature_epochs', 'belongs to kfac and not to optimizer {}, got '
                                '{!r}'.format(config.optimizer, list(chosen)))
    if chosen is not None and chosen[-1] > config.epochs:
        raise fields.FieldError('curvature_epochs', 'must not be beyond epochs {}, got {}'.format(
            config.epochs, chosen[-1]))


def _build(cls, values):
    """A configuration from key -> (value, place), so that a complaint can name the place."""
    known = [each.name for each in dataclasses.fields(cls)]
    for key, (_value, place) in values.items():
        if key not in known:
            raise ConfigError('unknown key {} (in {}){}'.format(
                key, place, fields.did_you_mean(key, known)))
    for each in dataclasses.fields(cls):
        if each.default is dataclasses.MISSING and each.name not in values:
            raise ConfigError('{} is missing: it must be {}; add it to the file or as {}=VALUE'
                              .format(each.name, each.metadata['kind'].wants, each.name))
    try:
        return cls(**{key: value for key, (value, _) in values.items()})
    except fields.FieldError as error:
        place = values.get(error.key, (None, 'by default'))[1]
        raise ConfigError('{} (in {})'.format(error, place)) from None


def _override(text):
    """One ``key=value`` of a command line as {key: (value, place)}."""
    key, equals, raw = text.partition('=')
    if not equals or not key:
        raise ConfigError('{!r} is not of the form key=value'.format(text))
    kinds = fields.kinds(RunConfig)
    value = raw
    if key in kinds and not kinds[key].textual:
        # It stays text, which the field then refuses; ValueError: a date that there is not.
        with contextlib.suppress(yaml.YAMLError, ValueError):
            value = yaml.safe_load(raw)
    return {key: (value, 'the flag ' + text)}


class _Loader(yaml.SafeLoader):
    """Refuses a key that is given twice, where YAML would silently take the last."""

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str) and key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, 'key {} is given twice'.format(key), key_node.start_mark)
            seen.add(str(key))
        return super().construct_mapping(node, deep)


def read_mapping(path: str | os.PathLike) -> Mapping[str, Any]:
    """The mapping that a YAML file holds, keys as text.

    Raises:
        ConfigError: if the file cannot be read, is no YAML or holds something else.
    """
    try:
        with open(path, encoding='utf-8') as stream:
            content = yaml.load(stream, _Loader)
    except OSError as error:
        raise ConfigError('cannot read {}: {}'.format(path, error.strerror)) from error
    except (yaml.YAMLError, ValueError) as error:   # a date that there is not, or no UTF-8
        raise ConfigError('{} is not valid YAML: {}'.format(
            path, ' '.join(str(error).split()))) from error
    if not isinstance(content, Mapping):
        raise ConfigError('{} must hold one mapping of keys to values, got {}'.format(
            path, 'nothing' if content is None else type(content).__name__))
    return {str(key): value for key, value in content.items()}
