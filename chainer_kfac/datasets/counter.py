"""Random numbers that are a function of a key, not of how many were drawn before.

The number for (seed, stream, epoch, image, draw) is the same however the images are cut into
batches, on whichever rank they are drawn and whether or not the run was interrupted. The mixing is
the output function of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), absorbed word by word.
"""
import numpy as np

ORDER, AUGMENTATION, HOLDOUT = range(3)  # streams, so that no purpose repeats another's numbers

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def _mix(z: np.ndarray) -> np.ndarray:
    z = (z ^ (z >> np.uint64(30))) * _MIX[0]
    z = (z ^ (z >> np.uint64(27))) * _MIX[1]
    return z ^ (z >> np.uint64(31))


def bits(*key) -> np.ndarray:
    """64 random bits for each key.

    Args:
        key (int or integer array): the words of the key; arrays broadcast against each other.
    Returns:
        numpy.ndarray, uint64: at least one-dimensional, of the shape the words broadcast to.
    """
    state = np.zeros(1, np.uint64)
    for word in key:
        word = np.atleast_1d(word).astype(np.uint64)  # NumPy warns when a scalar wraps around
        state = _mix(state + (word + np.uint64(1)) * _GAMMA)
    return state


def uniform(*key) -> np.ndarray:
    """Numbers strictly between 0 and 1, float64, on the grid (k + 1/2) / 2^53: see `bits`."""
    return ((bits(*key) >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0 ** -53


def permutation(n: int, *key) -> np.ndarray:
    """A random order of ``n`` things, int64; it does not depend on NumPy's version."""
    return np.argsort(bits(*key, np.arange(n)), kind='stable')
