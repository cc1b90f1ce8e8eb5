"""How fast a LeNet5 training step is: this package, Chainer as it is, and PyTorch, in turns.

``chainer-kfac bench`` (``make bench``) runs `benchmarks.main`. docs/performance.md explains the
results that are kept in this folder.
"""
import chainer_kfac  # noqa: F401  (first: Chainer does not import without it)
