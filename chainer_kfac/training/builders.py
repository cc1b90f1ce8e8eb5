"""From a configuration to the objects of a run: data, model, optimizer, schedule."""
import dataclasses
import math

import chainer
import chainer.functions as F
import chainer.links as L
import numpy as np
from chainer import optimizer_hooks
from chainer.training import extensions
from chainer.training.updaters import StandardUpdater

from chainer_kfac import datasets, models, optimizers
from chainer_kfac.exceptions import ConfigError
from chainer_kfac.training import device as devices
from chainer_kfac.training.config import RunConfig
from chainer_kfac.training.fields import of_optimizer
from chainer_kfac.training.updater import MicroBatchUpdater

HOLDOUT = 5000
EVALUATION_BATCH = 500

RATE = {'momentum_sgd': 'lr', 'adam': 'alpha', 'kfac': 'lr'}
"""What each optimizer calls its learning rate."""


@dataclasses.dataclass(frozen=True)
class Data:
    """The data of a run.

    Attributes:
        source (ImageData): as loaded, with the held-out images split off where asked for.
        train (BatchIterator): endless, shuffled, augmented.
        validation (BatchIterator): one pass, plain: the test images, or those held out.
        test (BatchIterator or None): one pass over the test images where others choose.
    """

    source: datasets.ImageData
    train: datasets.BatchIterator
    validation: datasets.BatchIterator
    test: datasets.BatchIterator | None


def data(config: RunConfig, device: chainer.backend.Device) -> Data:
    """Load and split the images and keep them on the device if they fit.

    With ``select_on: holdout``, 5,000 training images are held out, or a tenth of the different
    images where there are fewer than 50,000: always the same ones, whatever the seed of the run.

    Raises:
        ConfigError: if a batch would hold more images than there are.
        DataError: as `datasets.load`.
    """
    source = datasets.load(config.dataset, config.train_size, config.test_size)
    if config.select_on == 'holdout':
        different = len(np.unique(source.train_id))
        source = datasets.split_holdout(source, min(HOLDOUT, different // 10), seed=0)
    if config.batch_size > len(source.train_x):
        raise ConfigError('batch_size must be at most the number of training images, {}, got {}: '
                          'lower it or raise train_size'.format(
                              len(source.train_x), config.batch_size))
    plain = datasets.Standardise(source.mean, source.std)
    transform = plain
    if config.augment:
        transform = datasets.Augmentation(source.mean, source.std, config.seed)
    resident = devices.fits(device, source.train_x.nbytes + source.test_x.nbytes)

    def iterate(x, t, batch_size, transform, **options):
        if resident:
            x, t = device.send(x), device.send(t)
        return datasets.BatchIterator(x, t, batch_size, transform=transform, **options)

    def once(x, t):
        return iterate(x, t, EVALUATION_BATCH, plain, shuffle=False, repeat=False)

    train = iterate(source.train_x, source.train_t, config.batch_size, transform, seed=config.seed)
    test = once(source.test_x, source.test_t)
    if config.select_on == 'test':
        return Data(source, train, test, None)
    return Data(source, train, once(source.holdout_x, source.holdout_t), test)


def epochs(config: RunConfig, n_train: int) -> int:
    """Epochs that a run has: enough for ``epochs`` and for ``min_updates``."""
    return max(config.epochs, math.ceil(config.min_updates * config.batch_size / n_train))


def model(config: RunConfig, n_classes: int) -> L.Classifier:
    """The network with weights drawn from NumPy's global generator, and its loss and accuracy.

    Both are computed, and therefore averaged in the log, in float32 or wider.
    """
    return L.Classifier(models.build(config.model, n_classes, config.dropout),
                        lossfun=_softmax_cross_entropy, accfun=_accuracy)


def _softmax_cross_entropy(y, t):
    # looked up at each call: chainer_kfac.functions may have put a faster one there
    return F.softmax_cross_entropy(_at_least_single(y), t)


def _accuracy(y, t):
    return F.accuracy(_at_least_single(y), t)


def _at_least_single(y):
    return F.cast(y, np.float32) if y.dtype == np.float16 else y


def optimizer(config: RunConfig, target: chainer.Link) -> chainer.GradientMethod:
    """The optimizer, set up for the model, with weight decay added to the gradient."""
    own = {key: getattr(config, key) for key in of_optimizer(RunConfig, config.optimizer)}
    if config.optimizer == 'momentum_sgd':
        built = chainer.optimizers.MomentumSGD(lr=config.lr, **own)
    elif config.optimizer == 'adam':
        built = chainer.optimizers.Adam(alpha=config.lr, **own)
    else:
        built = optimizers.KFAC(lr=config.lr, loss_scale=config.loss_scale,
                                acc_iters=config.acc_iters, seed=config.seed, **own)
    built.setup(target)
    if has_masters(config):
        built.use_fp32_update()
    if config.weight_decay:
        built.add_hook(optimizer_hooks.WeightDecay(config.weight_decay))
    return built


def updater(config: RunConfig, iterator, built: chainer.GradientMethod, device):
    """The updater that takes a batch, whole or in ``acc_iters`` parts, to one update.

    The model is on the device already; batches are sent there.
    """
    scale = None if config.optimizer == 'kfac' else config.loss_scale  # K-FAC has its own
    if config.acc_iters == 1:
        return StandardUpdater(iterator, built, converter(config), input_device=device,
                               loss_scale=scale)
    return MicroBatchUpdater(iterator, built, converter(config), input_device=device,
                             parts=config.acc_iters, loss_scale=scale)


def has_masters(config: RunConfig) -> bool:
    """Whether Chainer's update rules work on float32 copies; K-FAC's keep theirs by themselves."""
    return config.dtype in ('float16', 'mixed16') and config.optimizer != 'kfac'


def schedule(config: RunConfig):
    """The extension that multiplies the rate by ``lr_decay`` and its trigger, or None.

    Unit: epochs.
    """
    if config.lr_decay_epoch is None:
        return None
    shift = extensions.ExponentialShift(RATE[config.optimizer], config.lr_decay)
    return shift, (config.lr_decay_epoch, 'epoch')


def converter(config: RunConfig):
    """A converter for whole batches that also gives the images the dtype of the run."""
    dtype = np.float16 if config.dtype == 'mixed16' else np.dtype(config.dtype)

    @chainer.dataset.converter()
    def convert(batch, device):
        x, t = datasets.to_device(batch, device)
        return x.astype(dtype, copy=False), t
    return convert
