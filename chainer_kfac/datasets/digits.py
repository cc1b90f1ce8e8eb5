"""scikit-learn's handwritten digits as 3x32x32 images: the stand-in that needs no network."""
import hashlib

import numpy as np

from chainer_kfac.datasets import image_data
from chainer_kfac.exceptions import DataError

TEST_POOL = 360  # of 1,797 images, every fifth one; the other 1,437 are for training
SCALE = 4  # 8x8 pixels become 32x32


def load(train_size: int | None = None, test_size: int | None = None) -> image_data.ImageData:
    """The 1,797 digits, grey levels 0-16 stretched to 0-255, each pixel a 4x4 square.

    Every fifth image is a test image; no image is in both sets. Where more are asked for than there
    are, the set is repeated in its order: ``train_id`` tells repetitions apart from new images.

    Raises:
        DataError: if a size is below 1.
    """
    from sklearn.datasets import load_digits  # half a second that other data sets need not wait

    source = load_digits()
    pixels = np.round(source.images * (255 / 16)).astype(np.uint8)
    x = np.repeat(pixels.repeat(SCALE, axis=1).repeat(SCALE, axis=2)[:, None], 3, axis=1)
    t = source.target.astype(np.int32)
    is_test = np.arange(len(x)) % 5 == 0
    train, test = np.flatnonzero(~is_test), np.flatnonzero(is_test)
    digest = hashlib.sha256(x.tobytes() + t.astype(np.uint8).tobytes()).hexdigest()
    train = train[_repeat(len(train), train_size, 'train_size')]
    test = test[_repeat(len(test), test_size, 'test_size')]
    return image_data.with_statistics(
        name='digits', label='digits (stand-in)', digest=digest,
        train_x=x[train], train_t=t[train], train_id=train, test_x=x[test], test_t=t[test])


def _repeat(available: int, wanted: int | None, field: str) -> np.ndarray:
    wanted = available if wanted is None else wanted
    if wanted < 1:
        raise DataError('{} must be at least 1, got {!r}'.format(field, wanted))
    return np.arange(wanted) % available
