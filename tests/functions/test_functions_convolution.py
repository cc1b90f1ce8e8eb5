"""`Convolution2DFunction` on kernels against Chainer's own."""
import tracemalloc

import chainer
import chainer.functions as F
import numpy as np
import pytest
from chainer import gradient_check
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from chainer_kfac import functions

pairs = st.tuples(st.integers(1, 4), st.integers(1, 4))
KERNEL_CHANNELS = (1, 2, 3, 16, 17, 33, 64, 70)


def draw(*shape, dtype=np.float32):
    return np.random.RandomState(sum(shape)).standard_normal(shape).astype(dtype)


def run(fast, x, w, b, options):
    """Output and gradients of all inputs, or the type of the error."""
    with functions.using(fast):
        inputs = [chainer.Variable(a) for a in (x, w, b) if a is not None]
        try:
            y = F.convolution_2d(*inputs, **options)
        except Exception as error:
            return type(error)
        y.grad = draw(*y.shape)
        y.backward()
        return [y.array] + [v.grad for v in inputs]


def assert_same(x, w, b, **options):
    fast, stock = run(True, x, w, b, options), run(False, x, w, b, options)
    if isinstance(stock, type):
        assert fast is stock
        return
    for a, expected in zip(fast, stock, strict=True):
        assert a.dtype == expected.dtype
        assert a.shape == expected.shape
        assert_allclose(a, expected, rtol=1e-4, atol=2e-5 * max(1, abs(expected).max(initial=0)))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(images=st.integers(0, 4), groups=st.sampled_from((1, 1, 2, 3)),
       read=st.sampled_from((1, 2, 3, 5, 16)), written=st.sampled_from(KERNEL_CHANNELS),
       size=st.tuples(st.integers(1, 14), st.integers(1, 14)), kernel=pairs, stride=pairs,
       pad=st.tuples(st.integers(0, 5), st.integers(0, 5)), dilate=pairs, bias=st.booleans(),
       cover_all=st.booleans(), last=st.booleans())
@example(2, 1, 3, 32, (28, 28), (5, 5), (1, 1), (2, 2), (1, 1), True, False, False)
@example(2, 1, 32, 64, (7, 7), (5, 5), (1, 1), (2, 2), (1, 1), True, False, True)
@example(2, 1, 3, 3, (9, 9), (1, 1), (4, 3), (0, 0), (1, 1), True, True, False)  # stride > kernel
@example(2, 1, 3, 3, (2, 2), (2, 2), (1, 1), (5, 5), (1, 1), True, False, False)  # pad > kernel
@example(2, 3, 1, 1, (9, 9), (3, 3), (1, 1), (1, 1), (2, 2), True, False, False)  # depthwise
@example(0, 1, 3, 3, (9, 9), (3, 3), (1, 1), (1, 1), (1, 1), True, False, False)  # no images
@example(1, 1, 1, 1, (2, 2), (4, 4), (1, 1), (0, 0), (1, 1), True, False, False)  # no output
def test_every_geometry_equals_chainer(images, groups, read, written, size, kernel, stride, pad,
                                       dilate, bias, cover_all, last):
    x = draw(images, read * groups, *size)
    if last:
        x = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    w = draw(written * groups, read, *kernel)
    b = draw(written * groups) if bias else None
    assert_same(x, w, b, stride=stride, pad=pad, dilate=dilate, groups=groups,
                cover_all=cover_all)


@pytest.mark.parametrize('change', [
    lambda a: a[:, :, ::-1],
    lambda a: a[:, :, :, 1::2],
    lambda a: np.broadcast_to(a[:1], a.shape),
    lambda a: np.asfortranarray(a),
    lambda a: np.frombuffer(a.tobytes(), np.float32).reshape(a.shape),  # read-only
    lambda a: np.frombuffer(b'\0' + a.tobytes(), np.uint8)[1:].view(np.float32).reshape(a.shape),
], ids=['reversed', 'every other', 'broadcast', 'Fortran', 'read-only', 'misaligned'])
def test_arrays_in_any_memory_order(change):
    assert_same(change(draw(3, 4, 8, 8)), change(draw(6, 4, 3, 4)), draw(12)[::2], pad=1)


def test_only_the_gradients_asked_for():
    for wanted in range(3):
        arrays = draw(2, 3, 6, 6), draw(4, 3, 3, 3), draw(4)
        with functions.using():
            inputs = [chainer.Variable(a, requires_grad=i == wanted) for i, a in enumerate(arrays)]
            F.sum(F.convolution_2d(*inputs)).backward()
        assert [v.grad is not None for v in inputs] == [i == wanted for i in range(3)]


def test_gradient_agrees_with_differences_in_float64():
    with functions.using():
        gradient_check.check_backward(
            lambda *a: F.convolution_2d(*a, stride=2, pad=1),
            [draw(2, 3, 5, 5, dtype=float), draw(4, 3, 3, 3, dtype=float), draw(4, dtype=float)],
            draw(2, 4, 3, 3, dtype=float))


@pytest.mark.parametrize('dtype', [np.float16, np.float64])
def test_other_dtypes_are_chainer_own(dtype):
    x, w = draw(2, 3, 6, 6, dtype=dtype), draw(4, 3, 3, 3, dtype=dtype)
    outputs = []
    for fast in (True, False):
        with functions.using(fast):
            outputs.append(F.convolution_2d(x, w).array)
    assert outputs[0].dtype == dtype
    np.testing.assert_array_equal(*outputs)


def test_mixed_dtypes_are_chainer_own():
    with functions.using():
        assert F.convolution_2d(draw(1, 3, 6, 6), draw(4, 3, 3, 3, dtype=float)).dtype == np.float32


def test_gradient_of_a_gradient():
    def penalty_gradients(fast):
        with functions.using(fast):
            x, w = chainer.Variable(draw(2, 3, 7, 7)), chainer.Variable(draw(4, 3, 3, 3))
            y = F.sum(F.tanh(F.convolution_2d(x, w, stride=2, pad=1)))
            gx, = chainer.grad([y], [x], enable_double_backprop=True)
            F.sum(gx * gx).backward()
            return x.grad, w.grad

    for a, b in zip(penalty_gradients(True), penalty_gradients(False), strict=True):
        assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def test_gradients_accumulate():
    with functions.using():
        x, w = chainer.Variable(draw(2, 3, 6, 6)), chainer.Variable(draw(4, 3, 3, 3))
        F.sum(F.convolution_2d(x, w)).backward()
        once = w.grad.copy()
        F.sum(F.convolution_2d(x, w)).backward()
    assert_allclose(w.grad, 2 * once, rtol=1e-6)


def test_no_array_of_the_size_of_all_patches():
    x, w = chainer.Variable(draw(64, 8, 16, 16)), chainer.Variable(draw(8, 8, 5, 5))
    with functions.using():
        tracemalloc.start()
        try:
            F.sum(F.convolution_2d(x, w, pad=2)).backward()
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    # Output, its gradient twice (the sum broadcasts it), input gradient: not 25 times the input.
    assert peak < 6 * x.array.nbytes


def test_results_do_not_depend_on_the_number_of_threads(monkeypatch):
    results = []
    for threads in '1', '2', '3':
        monkeypatch.setenv('OMP_NUM_THREADS', threads)
        results.append(run(True, draw(9, 3, 12, 12), draw(20, 3, 5, 5), draw(20), {'pad': 2}))
    for one, two, three in zip(*results, strict=True):
        np.testing.assert_array_equal(one, two)
        np.testing.assert_array_equal(one, three)
