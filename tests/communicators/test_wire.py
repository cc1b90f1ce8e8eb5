"""float16 on the wire: within the stated bound, whatever the range of the numbers."""
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from chainer_kfac.communicators.wire import BLOCK, decode, encode, wire_size


def there_and_back(xp, numbers, add=None):
    words = xp.empty(wire_size(len(numbers)), np.uint16)
    encode(numbers, words)
    out = xp.empty_like(numbers) if add is None else add.copy()
    decode(words, out, add=add is not None)
    return out


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 3 * BLOCK), st.integers(-60, 60), st.sampled_from(['f', 'd']))
def test_numbers_arrive_within_the_bound(count, exponent, dtype):
    random = np.random.RandomState(count)
    numbers = (random.normal(size=count) * 2.0 ** exponent
               * 10.0 ** random.uniform(-12, 0, count)).astype(dtype)
    back = there_and_back(np, numbers)
    assert back.dtype == numbers.dtype
    for start in range(0, count, BLOCK):
        x, y = numbers[start:start + BLOCK], back[start:start + BLOCK]
        bound = np.maximum(2.0 ** -11 * abs(x), 2.0 ** -39 * abs(x).max())
        assert (abs(x - y) <= bound).all()


def test_what_float16_can_say_is_exact(xp):
    numbers = xp.asarray([0, 1, -1, 0.5, 3, 1024, -65504 / 2], np.float32)
    assert_array_equal(there_and_back(xp, numbers).tolist(), numbers.tolist())


def test_nan_and_infinity_arrive(xp):
    numbers = xp.ones(BLOCK + 3, np.float32)
    numbers[0], numbers[2], numbers[-1] = np.nan, np.inf, -np.inf
    back = there_and_back(xp, numbers)
    assert bool(xp.isnan(back[0]))
    assert float(back[2]) == np.inf
    assert float(back[-1]) == -np.inf
    assert float(back[1]) == 1


def test_decoding_can_add(xp):
    numbers = xp.arange(5, dtype=np.float32)
    assert there_and_back(xp, numbers, add=xp.ones(5, np.float32)).tolist() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize('count, size', [
    (0, 0), (1, 2), (BLOCK, BLOCK + 1), (BLOCK + 1, BLOCK + 3)])
def test_the_size_on_the_wire(count, size):
    assert wire_size(count) == size
