"""The batch augmentation against the recipe, image by image: geometry, moments, independence."""
import dataclasses
import random

import chainer
import numpy as np
import pytest
from scipy import ndimage, stats

from chainer_kfac.datasets import augmentation
from chainer_kfac.datasets.augmentation import Augmentation, Standardise

MEAN, STD = np.array([125.0, 123.0, 114.0]), np.array([63.0, 62.0, 67.0])
SIDE, CROP = 32, 28


def rotate(image, degrees):
    """Counter-clockwise about the centre of (C, H, W), bilinear, the edge continued outwards."""
    t = np.deg2rad(degrees)
    to_source = np.array([[np.cos(t), np.sin(t)], [-np.sin(t), np.cos(t)]])
    centre = (np.array(image.shape[1:]) - 1) / 2
    return np.stack([ndimage.affine_transform(c, to_source, centre - to_source @ centre, order=1,
                                              mode='nearest') for c in image])


def recipe(image, angle, light, flip, canvas, top, left, row, column):
    """The steps of the public suite one after the other, in float64."""
    image = rotate(image.astype(np.float64), angle)
    vectors = np.array([[-0.5675, -0.5808, -0.5836], [0.7192, -0.0045, -0.6948],
                        [0.4009, -0.8140, 0.4203]])
    image += vectors.dot(np.array([0.2175, 0.0188, 0.0045]) * light)[:, None, None]
    image -= MEAN[:, None, None]
    image /= STD[:, None, None]
    if flip:
        image = image[:, :, ::-1]
    out = np.zeros((3, canvas, canvas))
    out[:, top:top + SIDE, left:left + SIDE] = image
    return out[:, row:row + CROP, column:column + CROP]


def draw_as_the_suite(rng, normal):
    """Random decisions for one image, drawn as ChainerCV draws them (`rng` a random.Random)."""
    canvas = int(SIDE * rng.uniform(1, 1.2))
    return {'angle': rng.uniform(-15, 15), 'light': normal.normal(0, 25.5, size=3),
            'flip': rng.choice([True, False]), 'canvas': canvas,
            'top': rng.randint(0, canvas - SIDE), 'left': rng.randint(0, canvas - SIDE),
            'row': rng.randint(0, canvas - CROP), 'column': rng.randint(0, canvas - CROP)}


def images(n, seed=0):
    return np.random.RandomState(seed).randint(0, 256, (n, 3, SIDE, SIDE)).astype(np.uint8)


def smooth_image():
    """Something like a photograph: neighbouring pixels are alike, the corners differ."""
    y, x = np.mgrid[:SIDE, :SIDE] / (SIDE - 1)
    planes = [40 + 150 * x, 220 - 120 * y * x, 128 + 100 * np.sin(5 * x + 2 * y)]
    return np.round(np.stack(planes)).astype(np.uint8)


def apply(draws, x, **options):
    """Run the batch sampling with chosen decisions instead of random ones."""
    augment = Augmentation(MEAN, STD, **options)
    augment.draw = lambda index, epoch, side: draws
    return augment(x, np.arange(len(x)))


def decided(n, **decisions):
    """Decisions for n images: no rotation, no light, no flip, no expansion, crop at the corner."""
    base = {'angle': 0.0, 'light': np.zeros(3), 'flip': False, 'canvas': SIDE, 'top': 0, 'left': 0,
            'row': 0, 'column': 0}
    base.update(decisions)
    return augmentation.Draw(**{k: np.repeat(np.asarray(v)[None], n, 0) for k, v in base.items()})


def test_equals_the_recipe_step_by_step(xp):
    x = images(64)
    index, epoch = np.arange(64) * 7, np.arange(64) % 3
    augment = Augmentation(MEAN, STD, seed=5)
    got = augment(xp.asarray(x), index, epoch)
    assert got.dtype == np.float32
    assert got.shape == (64, 3, CROP, CROP)
    assert isinstance(got, xp.ndarray)
    draw = augment.draw(index, epoch, SIDE)
    for i in range(64):
        one = {f.name: getattr(draw, f.name)[i] for f in dataclasses.fields(draw)}
        one['light'] = 25.5 * one['light']
        np.testing.assert_allclose(chainer.backends.cuda.to_cpu(got[i]), recipe(x[i], **one),
                                   atol=2e-5)


def test_moments_equal_those_of_the_recipe():
    n = 3000
    image = smooth_image()
    ours = Augmentation(MEAN, STD, seed=1)(np.repeat(image[None], n, 0), np.arange(n))
    rng, normal = random.Random(2), np.random.RandomState(3)
    theirs = np.stack([recipe(image, **draw_as_the_suite(rng, normal)) for _ in range(n)])
    mean, variance = theirs.mean(0), theirs.var(0)
    error = np.sqrt(2 * variance / n)
    z = (ours.mean(0) - mean) / error
    assert np.abs(z).max() < 5
    assert 0.5 < np.sqrt(np.mean(z ** 2)) < 1.6
    fourth = ((theirs - mean) ** 4).mean(0)
    z = (ours.var(0) - variance) / np.sqrt(2 * (fourth - variance ** 2) / n)
    assert np.abs(z).max() < 5
    assert 0.5 < np.sqrt(np.mean(z ** 2)) < 1.6
    # Neighbours, opposite corners and two channels move together as in the recipe.
    for a, b in (((0, 14, 14), (0, 14, 15)), ((0, 0, 0), (0, 27, 27)), ((0, 9, 9), (2, 9, 9))):
        pair = [np.corrcoef(s[(slice(None), *a)], s[(slice(None), *b)])[0, 1]
                for s in (ours, theirs)]
        assert abs(np.arctanh(pair[0]) - np.arctanh(pair[1])) < 5 * np.sqrt(2 / n)


def test_draws_are_distributed_as_the_suite_draws():
    n = 20000
    d = Augmentation(MEAN, STD, seed=3).draw(np.arange(n), 0, SIDE)
    assert stats.kstest(d.angle, 'uniform', (-15, 30)).pvalue > 1e-3
    assert stats.kstest(d.light.ravel(), 'norm').pvalue > 1e-3
    assert stats.binomtest(int(d.flip.sum()), n).pvalue > 1e-3
    share = np.array([1, 1, 1, 1, 1, 1, 0.4]) / 6.4  # 32 * 1.2 = 38.4
    assert stats.chisquare(np.bincount(d.canvas - SIDE, minlength=7), n * share).pvalue > 1e-3
    for canvas in range(32, 39):
        at = d.canvas == canvas
        for place, free in ((d.top, canvas - 31), (d.left, canvas - 31), (d.row, canvas - 27),
                            (d.column, canvas - 27)):
            counts = np.bincount(place[at], minlength=free)
            assert len(counts) == free
            assert free == 1 or stats.chisquare(counts).pvalue > 1e-4
    columns = np.column_stack([d.angle, d.light, d.flip, d.canvas])
    correlation = np.corrcoef(columns.T) - np.eye(6)
    assert np.abs(correlation).max() < 4.5 / np.sqrt(n)
    at = d.canvas == 37
    for a, b in ((d.top, d.left), (d.row, d.column), (d.top, d.row)):
        assert abs(np.corrcoef(a[at], b[at])[0, 1]) < 4.5 / np.sqrt(at.sum())


def test_where_a_pixel_goes():
    x = np.zeros((1, 3, SIDE, SIDE), np.uint8)
    x[0, :, 10, 4] = 200
    bright = (200 - MEAN) / STD

    def place(**decisions):
        y = apply(decided(1, **decisions), x)[0]
        row, column = np.unravel_index(y[0].argmax(), (CROP, CROP))
        np.testing.assert_allclose(y[:, row, column], bright, atol=1e-5)
        return row, column

    assert place() == (10, 4)
    assert place(row=3, column=2) == (7, 2)
    assert place(canvas=37, top=5, left=1) == (15, 5)
    assert place(canvas=37, top=5, left=1, row=9, column=0) == (6, 5)
    assert place(flip=True, row=0, column=4) == (10, 31 - 4 - 4)
    assert place(flip=True, canvas=36, left=4, column=8) == (10, 31 - 4 + 4 - 8)
    # A quarter turn counter-clockwise takes (row, column) to (31 - column, row).
    assert place(angle=90.0, row=4) == (31 - 4 - 4, 10)
    # The flip follows the rotation.
    assert place(angle=90.0, flip=True, row=4, column=4) == (31 - 4 - 4, 31 - 10 - 4)


def test_a_half_turn_of_whole_pixels_is_exact():
    x = images(3)
    y = apply(decided(3, angle=180.0), x)
    want = ((x[:, :, ::-1, ::-1] - MEAN[:, None, None]) / STD[:, None, None])[:, :, :CROP, :CROP]
    np.testing.assert_allclose(y, want, atol=1e-4)


def test_the_rotation_is_filled_by_the_edge_and_the_canvas_by_zero():
    x = np.full((200, 3, SIDE, SIDE), 200, np.uint8)
    augment = Augmentation(MEAN, STD, sigma=0.0)
    y, d = augment(x, np.arange(200)), augment.draw(np.arange(200), 0, SIDE)
    canvas = np.arange(CROP)
    for i in range(200):
        rows, columns = canvas + d.row[i] - d.top[i], canvas + d.column[i] - d.left[i]
        on_image = ((rows >= 0) & (rows < SIDE))[:, None] & ((columns >= 0) & (columns < SIDE))
        np.testing.assert_allclose(y[i][:, on_image], np.repeat(((200 - MEAN) / STD)[:, None],
                                                                on_image.sum(), 1), rtol=1e-5)
        assert (y[i][:, ~on_image] == 0).all()
    assert (y == 0).any()
    assert not (y == 0).all()


def test_lighting_moves_the_whole_image_along_the_colours():
    n = 4000
    x = np.full((n, 3, SIDE, SIDE), 100, np.uint8)
    augment = Augmentation(np.zeros(3), np.ones(3), max_angle=0.0, max_ratio=1.0)
    y = augment(x, np.arange(n))
    assert np.ptp(y, axis=(2, 3)).max() == 0
    shift = y[:, :, 0, 0].astype(np.float64) - 100
    v = augmentation.EIGEN_VECTOR * (25.5 * augmentation.EIGEN_VALUE)
    expected = v @ v.T
    deviation = np.sqrt(np.diag(expected))
    assert (np.abs(shift.mean(0)) < 4 * deviation / np.sqrt(n)).all()
    np.testing.assert_allclose(np.cov(shift.T) / np.outer(deviation, deviation),
                               expected / np.outer(deviation, deviation), atol=0.1)


def test_an_image_is_the_same_in_any_batch(xp):
    x, index = images(30), np.random.RandomState(0).permutation(30) + 1000
    epoch = np.arange(30) % 2
    augment = Augmentation(MEAN, STD, seed=2)
    whole = augment(xp.asarray(x), index, epoch)
    for cuts in ([7], [1, 2, 29], [10, 20]):
        parts = [augment(xp.asarray(p), i, e) for p, i, e in
                 zip(np.split(x, cuts), np.split(index, cuts), np.split(epoch, cuts), strict=True)]
        assert (xp.concatenate(parts) == whole).all()
    backwards = augment(xp.asarray(x[::-1]), index[::-1], epoch[::-1])
    assert (backwards[::-1] == whole).all()


@pytest.mark.parametrize('change', [{'seed': 3}, {'epoch': 1}, {'index': 8}])
def test_seed_epoch_and_index_each_matter(change):
    x = images(1)
    key = {'seed': 2, 'epoch': 0, 'index': 7}

    def augmented(seed, epoch, index):
        return Augmentation(MEAN, STD, seed=seed)(x, index, epoch)

    assert (augmented(**key) == augmented(**key)).all()
    assert (augmented(**key) != augmented(**{**key, **change})).mean() > 0.9


def test_the_input_is_left_alone():
    x = images(4)
    before = x.copy()
    Augmentation(MEAN, STD)(x, np.arange(4))
    Standardise(MEAN, STD)(x)
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize('shape', [(2, 3, 32, 30), (2, 3, 24, 24)])
def test_images_that_cannot_be_cropped_are_refused(shape):
    with pytest.raises(ValueError, match='square'):
        Augmentation(MEAN, STD)(np.zeros(shape, np.uint8), np.arange(2))


def test_standardise(xp):
    x = images(5)
    y = Standardise(MEAN, STD)(xp.asarray(x))
    assert y.dtype == np.float32
    assert isinstance(y, xp.ndarray)
    want = (x - MEAN[:, None, None]) / STD[:, None, None]
    np.testing.assert_allclose(chainer.backends.cuda.to_cpu(y), want, atol=1e-6)
