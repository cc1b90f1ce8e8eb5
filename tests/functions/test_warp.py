"""The sampling of image batches: compiled loop = array operations = one pixel at a time."""
import chainer
import numpy as np
import pytest

from chainer_kfac.functions import warp


def slow(x, matrix, corner, size, shift, scale):
    n, channels, height, width = x.shape
    y = np.zeros((n, channels, size, size))
    for image, k, i, j in np.ndindex(y.shape):
        r, c = corner[image] + (i, j)
        if not (0 <= r < height and 0 <= c < width):
            continue
        row, column = matrix[image] @ (r, c, 1)
        value = 0.0
        for a in (int(np.floor(row)), int(np.floor(row)) + 1):
            for b in (int(np.floor(column)), int(np.floor(column)) + 1):
                weight = (1 - abs(row - a)) * (1 - abs(column - b))
                at = min(max(a, 0), height - 1), min(max(b, 0), width - 1)
                value += weight * x[image, k][at]
        y[image, k, i, j] = (value + shift[image, k]) * scale[k]
    return y


def problem(height=7, width=9, n=5, channels=2):
    rng = np.random.RandomState(0)
    x = rng.randint(0, 256, (n, channels, height, width)).astype(np.uint8)
    matrix = np.eye(2, 3) + rng.uniform(-0.5, 0.5, (n, 2, 3))
    matrix[0] = np.eye(2, 3)  # exactly on the pixels, the last ones included
    matrix[1, :, 2] = 100  # far outside: the edge everywhere
    corner = rng.randint(-3, 4, (n, 2))
    corner[0] = 0
    return x, matrix, corner, 10, rng.randn(n, channels), rng.uniform(0.5, 2, channels)


def test_equals_one_pixel_at_a_time(xp):
    args = problem()
    y = warp.sample(xp.asarray(args[0]), *args[1:])
    assert y.dtype == np.float32
    assert isinstance(y, xp.ndarray)
    np.testing.assert_allclose(chainer.backends.cuda.to_cpu(y), slow(*args), rtol=1e-4, atol=2e-3)


def test_the_loop_equals_the_array_operations():
    x, matrix, corner, size, shift, scale = problem(height=32, width=32, n=40, channels=3)
    single = [a.astype(np.float32) for a in (matrix, shift, scale)]
    want = warp.sample_xp(x, single[0], corner.astype(np.int32), size, *single[1:])
    got = warp.sample(x, matrix, corner, size, shift, scale)
    assert want.dtype == np.float32
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-3)


def test_images_of_any_layout():
    args = problem()
    want = warp.sample(*args)
    strided = np.repeat(args[0], 2, axis=3)[:, :, :, ::2]
    np.testing.assert_array_equal(warp.sample(strided, *args[1:]), want)
    args[0].flags.writeable = False
    np.testing.assert_array_equal(warp.sample(*args), want)
    shared = np.broadcast_to(args[1][0], args[1].shape)
    np.testing.assert_array_equal(warp.sample(args[0], shared, *args[2:])[0], want[0])


def test_the_number_of_threads_changes_nothing(monkeypatch):
    args = problem(n=200)
    results = []
    for count in (1, 2, 5):
        monkeypatch.setenv('OMP_NUM_THREADS', str(count))
        results.append(warp.sample(*args))
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


@pytest.mark.parametrize('shape', [(1, 3, 2, 2), (0, 3, 8, 8)])
def test_extreme_sizes(shape):
    n, channels = shape[:2]
    x = np.full(shape, 7, np.uint8)
    y = warp.sample(x, np.zeros((n, 2, 3)), np.zeros((n, 2)), 2, np.zeros((n, channels)),
                    np.ones(channels))
    assert y.shape == (n, channels, 2, 2)
    assert (y == 7).all()
