"""float16 on the wire: numbers in blocks that share a power of two.

A block of `BLOCK` numbers is divided by 2^e with e such that its largest magnitude is in
[2^14, 2^15), and rounded to float16; e travels as one more 16-bit integer. So a number is off by at
most 2^-11 of itself, or, where it is below 2^-28 of the largest of its block, by 2^-39 of that:
no gradient is too small and no factor too large. Infinities and NaNs arrive as they are.
"""
import chainer
import numpy as np

BLOCK = 1024
_TOP = 15


def wire_size(count: int) -> int:
    """16-bit words that ``count`` numbers take."""
    return count + -(-count // BLOCK)


def encode(flat, out) -> None:
    """Write ``flat``, (count,), float32/64, to ``out``, (wire_size(count),), uint16."""
    xp = chainer.backend.get_array_module(flat)
    count = len(flat)
    for values, words, exponents in _blocks(flat, out):
        top = xp.abs(values).max(axis=1)
        exponent = xp.where(xp.isfinite(top), xp.frexp(top)[1] - _TOP, 0).astype(np.int16)
        scaled = xp.ldexp(values, -exponent.astype(np.int32)[:, None])
        with np.errstate(over='ignore', invalid='ignore'):
            words[...] = scaled.astype(np.float16).view(np.uint16)
        exponents[...] = exponent.view(np.uint16)
    assert len(out) == wire_size(count)


def decode(words, out, *, add: bool = False) -> None:
    """The inverse of `encode`, into ``out``, (count,), or added to it."""
    xp = chainer.backend.get_array_module(words)
    for values, part, exponents in _blocks(out, words):
        exponent = exponents.view(np.int16).astype(np.int32)
        decoded = xp.ldexp(part.view(np.float16).astype(values.dtype), exponent[:, None])
        if add:
            values += decoded
        else:
            values[...] = decoded


def _blocks(flat, words):
    """(numbers, words, exponents) of the whole blocks, then of the rest: views of two axes."""
    count = len(flat)
    whole = count // BLOCK * BLOCK
    exponents = words[count:]
    if whole:
        yield (flat[:whole].reshape(-1, BLOCK), words[:whole].reshape(-1, BLOCK),
               exponents[:whole // BLOCK])
    if whole < count:
        yield flat[whole:].reshape(1, -1), words[whole:count].reshape(1, -1), exponents[-1:]
