"""Kronecker factors by their definitions: loops over examples and positions, in float64."""
import numpy as np


def to_host(array):
    return array.get() if hasattr(array, 'get') else array


def patches(x, ksize, stride, pad, dilate):
    """Yields (example, patch) with the patch flattened by channel, then kernel place."""
    x = to_host(x).astype('d')
    (kh, kw), (sy, sx), (ph, pw), (dy, dx) = ksize, stride, pad, dilate
    padded = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    _, channels, h, w = padded.shape
    for n, image in enumerate(padded):
        for top in range(0, h - dy * (kh - 1), sy):
            for left in range(0, w - dx * (kw - 1), sx):
                yield n, np.array([image[c, top + dy * i, left + dx * j] for c in range(channels)
                                   for i in range(kh) for j in range(kw)])


def conv_A(x, ksize, stride, pad, dilate, groups, bias):
    """1/N sum a a^T for each group: (groups, m, m)."""
    factors = []
    for part in np.split(to_host(x), groups, axis=1):
        total = 0
        for _, patch in patches(part, ksize, stride, pad, dilate):
            a = np.append(patch, 1.0) if bias else patch
            total = total + np.outer(a, a)
        factors.append(total / len(x))
    return np.stack(factors)


def conv_G(gy, groups, loss_scale=1.0):
    """1/(N T) sum g g^T for each group, g = N gy / loss_scale: (groups, n, n)."""
    factors = []
    for part in np.split(to_host(gy).astype('d'), groups, axis=1):
        total = 0
        for image in part:
            for i in range(image.shape[1]):
                for j in range(image.shape[2]):
                    g = len(gy) * image[:, i, j] / loss_scale
                    total = total + np.outer(g, g)
        factors.append(total / (len(gy) * part[0, 0].size))
    return np.stack(factors)
