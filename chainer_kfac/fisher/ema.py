"""Running averages of the factors, with both readings of ``cov_ema_decay``."""
from chainer_kfac.exceptions import ConfigError

EMA_WEIGHS = ('new', 'old')


def weight_of_new(cov_ema_decay, ema_weighs='new'):
    """Weight r of the newest factor in average <- r * new + (1 - r) * average.

    Args:
        cov_ema_decay (float): in [0, 1]; weighs the side that ``ema_weighs`` names.
        ema_weighs (str): 'new' (the group's reading) or 'old' (that of most other packages).
    Raises:
        ConfigError: if either is something else.
    """
    if ema_weighs not in EMA_WEIGHS:
        raise ConfigError("ema_weighs is {!r}; choose 'new' or 'old'".format(ema_weighs))
    if not 0.0 <= cov_ema_decay <= 1.0:
        raise ConfigError('cov_ema_decay is {!r}; choose a number from 0 to 1'.format(
            cov_ema_decay))
    return cov_ema_decay if ema_weighs == 'new' else 1.0 - cov_ema_decay


def update(average, new, weight):
    """Running average with ``new`` taken in; the first factor is taken as it is.

    Args:
        average (array or None): overwritten; None before the first factor.
        new (array): overwritten too, for it is the caller's to give away.
        weight (float): of ``new``, from `weight_of_new`.
    Returns:
        array: ``new`` itself when it is the first or has all the weight, else ``average``.
    """
    if average is None or weight == 1.0:
        return new
    new *= weight
    average *= 1.0 - weight
    average += new
    return average
