"""Random and plain preprocessing of whole batches of images."""
import dataclasses

import numpy as np
from chainer import backend
from numpy.typing import ArrayLike
from scipy import special

from chainer_kfac.datasets import counter
from chainer_kfac.functions import warp

# ChainerCV's constants, and ChainerCV's product with them: the matrix holds ImageNet's principal
# colour directions in its rows although the product takes its columns.
EIGEN_VALUE = np.array([0.2175, 0.0188, 0.0045])
EIGEN_VECTOR = np.array([[-0.5675, -0.5808, -0.5836],
                         [0.7192, -0.0045, -0.6948],
                         [0.4009, -0.8140, 0.4203]])


class Standardise:
    """(x - mean) / std for each channel.

    Args:
        mean, std (array, (C,)): on the scale of the pixels, 0-255.
    """

    def __init__(self, mean: ArrayLike, std: ArrayLike):
        self._shift = -np.asarray(mean, np.float64)
        self._scale = 1 / np.asarray(std, np.float64)

    def __call__(self, x, index=None, epoch=None):
        """Args: x (uint8, (N, C, H, W)). Returns: float32, same shape, on the device of ``x``."""
        xp = backend.get_array_module(x)
        y = x.astype(np.float32)
        y += xp.asarray(self._shift, np.float32)[:, None, None]
        y *= xp.asarray(self._scale, np.float32)[:, None, None]
        return y


@dataclasses.dataclass(frozen=True)
class Draw:
    """What chance decided for each image of a batch: NumPy arrays with one entry an image.

    Attributes:
        angle (float64): rotation in degrees.
        light (float64, (N, 3)): standard normal numbers, one a principal colour.
        flip (bool): mirrored left to right.
        canvas (int64): side of the square that the image is pasted into.
        top, left (int64): where the image lies on the canvas.
        row, column (int64): where the crop begins on the canvas.
    """

    angle: np.ndarray
    light: np.ndarray
    flip: np.ndarray
    canvas: np.ndarray
    top: np.ndarray
    left: np.ndarray
    row: np.ndarray
    column: np.ndarray


class Augmentation:
    """Rotation, PCA lighting, standardisation, flip, expansion and crop, as one sampling.

    The recipe, image by image, is: rotate about the centre, continuing the edge pixels outwards;
    add a random colour along ImageNet's principal ones; standardise; flip; paste into a larger
    canvas of zeros; crop. All but the rotation move whole pixels, so each output pixel is one
    bilinear sample of the source, or zero where the canvas shows: nothing is interpolated twice.

    Image i in epoch e gets the same numbers in every batch, on every rank and device: they are
    drawn from (seed, e, i) alone.

    Args:
        mean, std (array, (3,)): of the training images, on the scale 0-255.
        seed (int): of the draws.
        max_angle (float): degrees; the angle is uniform in +-max_angle.
        sigma (float): deviation of the lighting on the scale 0-255; 25.5 is AlexNet's tenth of it.
        max_ratio (float): largest side of the canvas in sides of the image.
        crop (int): side of the result.
    """

    def __init__(self, mean: ArrayLike, std: ArrayLike, seed: int = 0, *, max_angle: float = 15.0,
                 sigma: float = 25.5, max_ratio: float = 1.2, crop: int = 28):
        self._mean = np.asarray(mean, np.float64)
        self._scale = 1 / np.asarray(std, np.float64)
        self._seed = seed
        self._max_angle, self._sigma, self._max_ratio = max_angle, sigma, max_ratio
        self._crop = crop

    def __call__(self, x, index, epoch=0):
        """Augment a batch.

        Args:
            x (uint8, (N, 3, S, S), NumPy or CuPy): the images.
            index, epoch (int or integer array, (N,)): which image in which epoch each row is.
        Returns:
            float32, (N, 3, crop, crop): new memory, on the device of ``x``.
        """
        side = x.shape[2]
        if x.shape[3] != side or side < self._crop:
            raise ValueError('images must be square and at least {} wide, got shape {}'.format(
                self._crop, x.shape))
        draw = self.draw(index, epoch, side)
        light = self._sigma * draw.light * EIGEN_VALUE @ EIGEN_VECTOR.T
        corner = np.stack([draw.row - draw.top, draw.column - draw.left], axis=1)
        return warp.sample(x, source_map(draw, side), corner, self._crop,
                           light - self._mean, self._scale)

    def draw(self, index, epoch, side: int) -> Draw:
        """The random numbers of the images ``index`` in ``epoch``; ``side`` is the images' side."""
        index, epoch = np.atleast_1d(index), np.atleast_1d(epoch)
        number = counter.uniform(self._seed, counter.AUGMENTATION, epoch[:, None], index[:, None],
                                 np.arange(10))
        angle, flip, ratio, top, left, row, column = number.T[:7]
        canvas = (side * (1 + (self._max_ratio - 1) * ratio)).astype(np.int64)
        # How many whole-pixel places there are for the image and for the crop.
        free, spare = canvas - side + 1, canvas - self._crop + 1
        return Draw(angle=self._max_angle * (2 * angle - 1),
                    light=special.ndtri(number[:, 7:]),
                    flip=flip < 0.5,
                    canvas=canvas,
                    top=(top * free).astype(np.int64),
                    left=(left * free).astype(np.int64),
                    row=(row * spare).astype(np.int64),
                    column=(column * spare).astype(np.int64))


def source_map(draw: Draw, side: int) -> np.ndarray:
    """Affine map from a pixel of the flipped, rotated image back to the source, float64, (N, 2, 3).

    (row', column') = m @ (row, column, 1), counter-clockwise rotation by ``draw.angle`` about the
    centre ((side - 1) / 2, (side - 1) / 2) after undoing the flip.
    """
    radian = np.deg2rad(draw.angle)
    sign = np.where(draw.flip, -1.0, 1.0)
    cos, sin = np.cos(radian), np.sin(radian)
    turn = np.stack([np.stack([cos, sign * sin], 1), np.stack([-sin, sign * cos], 1)], 1)
    centre = np.full(2, (side - 1) / 2)
    return np.concatenate([turn, (centre - turn @ centre)[:, :, None]], axis=2)
