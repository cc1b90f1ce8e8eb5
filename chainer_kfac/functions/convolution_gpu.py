"""A convolution and its gradients on a GPU, a few images at a time.

CuPy has no cuDNN any more, and Chainer's own way forms the patches of the whole batch twice: once
as (image, patch, position), once more transposed for the product. Here they are formed as (patch,
image, position), which is what the products read, and never for more images than `ELEMENTS` allows.
"""
from chainer.backends import cuda

ELEMENTS = 1 << 26
"""Elements of the patches that are held at a time: a quarter of a gigabyte in float32."""

_SIZES = ('int32 images, int32 channels, int32 h, int32 w, int32 out_h, int32 out_w, int32 kh, '
          'int32 kw, int32 sy, int32 sx, int32 ph, int32 pw, int32 dy, int32 dx')

_GATHER = '''
    int n = i;
    int out_x = n % out_w, out_y = n / out_w % out_h;
    int image = n / (out_w * out_h) % images;
    int place = n / (out_w * out_h) / images;
    int kx = place % kw, ky = place / kw % kh, channel = place / kw / kh;
    int x = kx * dx + out_x * sx - pw, y = ky * dy + out_y * sy - ph;
    bool inside = x >= 0 && x < w && y >= 0 && y < h;
    if (inside) patch = source[((image * channels + channel) * h + y) * w + x];
    else patch = 0;
'''

_SCATTER = '''
    int n = i;
    int x = n % w, y = n / w % h, channel = n / (w * h) % channels;
    int image = n / (w * h) / channels;
    T sum = 0;
    for (int ky = 0; ky < kh; ++ky) {
      int out_y = y + ph - ky * dy;
      if (out_y < 0 || out_y % sy != 0 || out_y / sy >= out_h) continue;
      for (int kx = 0; kx < kw; ++kx) {
        int out_x = x + pw - kx * dx;
        if (out_x < 0 || out_x % sx != 0 || out_x / sx >= out_w) continue;
        int place = (channel * kh + ky) * kw + kx;
        sum += patches[((place * images + image) * out_h + out_y / sy) * out_w + out_x / sx];
      }
    }
    gradient = sum;
'''


def convolve(x, w, b, g):
    """Convolution of x (N, C, H, W) with w (C_out, C, kh, kw), plus b (C_out,) or None.

    Args:
        g (convolution_plan.Geometry): without groups.
    Returns:
        CuPy array, (N, C_out, H_out, W_out), C-contiguous, of the dtype of ``x``.
    """
    y = cuda.cupy.empty((len(x), g.out_channels, *g.out_size), x.dtype)
    flat = w.reshape(g.out_channels, -1)
    for part in _parts(len(x), g):
        y[part] = _by_image(flat.dot(_patches(x[part], g)), g)
    if b is not None:
        y += b[:, None, None]
    return y


def input_gradient(gy, w, g):
    """Gradient of the convolution's input, (N, C, H, W), C-contiguous."""
    cupy = cuda.cupy
    gx = cupy.empty((len(gy), g.channels, *g.size), gy.dtype)
    flat = w.reshape(g.out_channels, -1).T
    scatter = cuda.elementwise('raw T patches, ' + _SIZES, 'T gradient', _SCATTER, 'kfac_scatter')
    for part in _parts(len(gy), g):
        patches = flat.dot(_by_channel(gy[part]))
        scatter(patches, *_sizes(len(gx[part]), g), gx[part])
    return gx


def weight_gradient(x, gy, g):
    """Gradients of the weights (C_out, C, kh, kw) and of the bias (C_out,)."""
    total = 0
    for part in _parts(len(x), g):
        total = total + _by_channel(gy[part]).dot(_patches(x[part], g).T)
    return total.reshape(g.out_channels, g.channels, *g.kernel), gy.sum(axis=(0, 2, 3))


def _parts(images, g):
    """Slices of the batch, each with few enough patches."""
    size = g.channels * max(g.kernel[0] * g.kernel[1] * g.out_size[0] * g.out_size[1],
                            g.size[0] * g.size[1])
    step = max(1, ELEMENTS // size)
    return [slice(start, min(start + step, images)) for start in range(0, images, step)]


def _patches(x, g):
    """What the kernel meets: (C * kh * kw, images * positions)."""
    cupy = cuda.cupy
    patches = cupy.empty((g.channels, *g.kernel, len(x), *g.out_size), x.dtype)
    gather = cuda.elementwise('raw T source, ' + _SIZES, 'T patch', _GATHER, 'kfac_gather')
    gather(cupy.ascontiguousarray(x), *_sizes(len(x), g), patches)
    return patches.reshape(g.channels * g.kernel[0] * g.kernel[1], -1)


def _sizes(images, g):
    return (images, g.channels, *g.size, *g.out_size, *g.kernel, *g.stride, *g.pad, *g.dilate)


def _by_channel(images):
    """(N, C, ...) as (C, N * ...), contiguous."""
    return cuda.cupy.ascontiguousarray(images.swapaxes(0, 1)).reshape(images.shape[1], -1)


def _by_image(rows, g):
    """(C_out, N * positions) as a view (N, C_out, H_out, W_out)."""
    return rows.reshape(g.out_channels, -1, *g.out_size).swapaxes(0, 1)
