"""From a configuration to the objects of a run: data, model, optimizer, schedule."""
import dataclasses

import chainer
import chainer.functions as F
import chainer.links as L
import numpy as np
from chainer import optimizer_hooks
from chainer.training import extensions
from chainer.training.updaters import StandardUpdater

from chainer_kfac import datasets, models, optimizers
from chainer_kfac.communicators.agreement import agree
from chainer_kfac.communicators.ranks import Alone, Ranks
from chainer_kfac.exceptions import ConfigError
from chainer_kfac.optimizers.distributed_start import give_initial_parameters
from chainer_kfac.training import device as devices
from chainer_kfac.training.config import RunConfig
from chainer_kfac.training.fields import of_optimizer
from chainer_kfac.training.updater import PartsUpdater

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


def data(config: RunConfig, device: chainer.backend.Device, ranks: Alone | Ranks) -> Data:
    """Load and split the images and keep them on the device if they fit.

    With ``select_on: holdout``, 5,000 training images are held out, or a tenth of the different
    images where there are fewer than 50,000: always the same ones, whatever the seed of the run.

    Every rank has all images and takes its share of each batch; a share has ``acc_iters`` equal
    parts.

    Raises:
        ConfigError: if a batch would hold more images than there are, or fewer than the ranks
            need, or the ranks have different images.
        DataError: as `datasets.load`.
    """
    source = _load(config, ranks)
    if config.select_on == 'holdout':
        different = len(np.unique(source.train_id))
        source = datasets.split_holdout(source, min(HOLDOUT, different // 10), seed=0)
    _check_batch_size(config, len(source.train_x), ranks.size)
    plain = datasets.Standardise(source.mean, source.std)
    transform = plain
    if config.augment:
        transform = datasets.Augmentation(source.mean, source.std, config.seed)
    resident = devices.fits(device, source.train_x.nbytes + source.test_x.nbytes)

    def iterate(x, t, batch_size, transform, **options):
        if resident:
            x, t = device.send(x), device.send(t)
        return datasets.BatchIterator(x, t, batch_size, transform=transform, rank=ranks.rank,
                                      size=ranks.size, **options)

    def once(x, t):
        return iterate(x, t, EVALUATION_BATCH * ranks.size, plain, shuffle=False, repeat=False)

    train = iterate(source.train_x, source.train_t, config.batch_size, transform, seed=config.seed,
                    grain=config.acc_iters)
    test = once(source.test_x, source.test_t)
    if config.select_on == 'test':
        return Data(source, train, test, None)
    return Data(source, train, once(source.holdout_x, source.holdout_t), test)


def _load(config, ranks):
    """The images, which the ranks of one node do not all fetch at once."""
    def load():
        return datasets.load(config.dataset, config.train_size, config.test_size)

    source = ranks.together(lambda: load() if ranks.intra_rank == 0 else None)
    source = ranks.together(lambda: load() if source is None else source)
    agree(ranks, 'the digest of', {config.dataset: source.digest[:12]},
          'give every node the same files')
    return source


def _check_batch_size(config, n_train, size):
    if config.batch_size > n_train:
        raise ConfigError('batch_size must be at most the number of training images, {}, got {}: '
                          'lower it or raise train_size'.format(n_train, config.batch_size))
    if config.batch_size < size * config.acc_iters:
        raise ConfigError('batch_size must be at least {}, an image for each of {} ranks and of '
                          'acc_iters={} parts, got {}: raise it or start fewer ranks'.format(
                              size * config.acc_iters, size, config.acc_iters, config.batch_size))


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


def share_parameters(config: RunConfig, target: chainer.Link, iterator, device,
                     communicator) -> None:
    """Give all ranks the parameters of rank 0, those that a first batch has to shape included.

    Collective. They are the same as without other ranks if the model draws no random numbers but
    for its parameters.
    """
    batch = converter(config)(iterator.next(), device)
    iterator.reset()
    give_initial_parameters(communicator, target, target, batch, {})


def optimizer(config: RunConfig, target: chainer.Link,
              communicator=None) -> chainer.GradientMethod:
    """The optimizer, set up for the model, with weight decay added to the gradient.

    Args:
        communicator (KroneckerCommunicator or None): of the ranks that work on each batch.
    """
    own = {key: getattr(config, key) for key in of_optimizer(RunConfig, config.optimizer)}
    if config.optimizer == 'momentum_sgd':
        built = chainer.optimizers.MomentumSGD(lr=config.lr, **own)
    elif config.optimizer == 'adam':
        built = chainer.optimizers.Adam(alpha=config.lr, **own)
    else:
        own.update(lr=config.lr, loss_scale=config.loss_scale, acc_iters=config.acc_iters,
                   seed=config.seed)
        built = (optimizers.KFAC(**own) if communicator is None
                 else optimizers.DistributedKFAC(communicator, **own))
    built.setup(target)
    if has_masters(config):
        built.use_fp32_update()
    if config.weight_decay:
        built.add_hook(optimizer_hooks.WeightDecay(config.weight_decay))
    if communicator is None or config.optimizer == 'kfac':
        return built
    import chainermn
    shared = chainermn.create_multi_node_optimizer(built, communicator)
    shared.is_changed(target)  # else its first update would only send the parameters around
    return shared


def updater(config: RunConfig, iterator, built: chainer.GradientMethod, device,
            communicator=None):
    """The updater that takes a batch, whole, in ``acc_iters`` parts or in shares, to one update.

    The model is on the device already; batches are sent there.
    """
    scale = None if config.optimizer == 'kfac' else config.loss_scale  # K-FAC has its own
    if config.acc_iters == 1 and communicator is None:
        return StandardUpdater(iterator, built, converter(config), input_device=device,
                               loss_scale=scale)
    return PartsUpdater(iterator, built, converter(config), input_device=device,
                        parts=config.acc_iters, loss_scale=scale, communicator=communicator)


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
