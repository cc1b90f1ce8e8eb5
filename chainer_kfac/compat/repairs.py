"""Functions of Chainer that today's NumPy or SciPy breaks, or quietly changes.

They were found by running all of Chainer's CPU side on the NumPy of its time and on today's and
comparing values and dtypes (``tests/compat``).
"""
import sys
import warnings

from chainer_kfac.compat.patches import Patch


def categorical_log_prob():
    """``Categorical.log_prob`` concatenates the result of meshgrid and a list."""
    import numpy
    if isinstance(numpy.meshgrid(range(1)), list):
        return False
    categorical = sys.modules['chainer.distributions.categorical']

    def log_prob(self, x):
        grid = numpy.meshgrid(*(range(i) for i in self.batch_shape), indexing='ij')
        values = getattr(x, 'array', x).astype(numpy.int32)
        return self.log_p[(*grid, values)]

    log_prob.__doc__ = categorical.Categorical.log_prob.__doc__
    categorical.Categorical.log_prob = log_prob
    return True


def walker_alias_table():
    """``WalkerAlias`` builds its table from NumPy scalars."""
    import numpy
    if (numpy.float32(1) * 1).dtype == numpy.float64:
        return False
    walker_alias = sys.modules['chainer.utils.walker_alias']

    def __init__(self, probs):
        super(walker_alias.WalkerAlias, self).__init__()
        prob = numpy.array(probs, numpy.float32)
        prob /= numpy.sum(prob)
        n = len(prob)
        threshold = numpy.ndarray(n, numpy.float32)
        values = numpy.zeros(2 * n, numpy.int32)
        left = 0                              # entries of the table that still want a second value
        for entry, (p, i) in enumerate(sorted(zip(prob.tolist(), range(n)))):
            p *= n
            while p > 1 and left < entry:
                values[left * 2 + 1] = i
                p -= 1.0 - float(threshold[left])
                left += 1
            threshold[entry] = p
            values[entry * 2] = i
        self.threshold = threshold
        self.values = values

    walker_alias.WalkerAlias.__init__ = __init__
    return True


def sparse_matmul_half():
    """``sparse_matmul`` gives float16 to SciPy."""
    module = sys.modules['chainer.functions.math.sparse_matmul']
    if not module._scipy_available or _sparse_takes_half(module.sparse):
        return False
    multiply = module._coo_matmul_cpu

    def _coo_matmul_cpu(A_data, A_row, A_col, A_shape, B, dtype):
        if A_data.dtype == 'float16':
            A_data = A_data.astype('float32')     # the product is cast to dtype by the original
        if B.dtype == 'float16':
            B = B.astype('float32')
        return multiply(A_data, A_row, A_col, A_shape, B, dtype)

    module._coo_matmul_cpu = _coo_matmul_cpu
    return True


def multi_node_iterator_size():
    """``create_multi_node_iterator`` gets the size of the data set as an array like ``[7.]``."""
    import numpy
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        try:
            int(numpy.ones(1))
        except (TypeError, DeprecationWarning):
            pass
        else:
            return False

    def to_int(value):
        return int(value.item() if getattr(value, 'size', None) == 1 else value)

    # A global of the module comes before the built-in function of that name.
    sys.modules['chainermn.iterators.multi_node_iterator'].int = to_int
    return True


def _sparse_takes_half(sparse):
    import numpy
    try:
        sparse.coo_matrix(numpy.ones((1, 1), numpy.float16))
    except ValueError:
        return False
    return True


def patches():
    """The repairs, each applied just after the module that it repairs has been imported.

    Returns:
        list of Patch.
    """
    return [
        Patch('Categorical.log_prob', 'chainer.distributions.categorical',
              'numpy.meshgrid returns a tuple since NumPy 2.0, a list before',
              after=categorical_log_prob),
        Patch('WalkerAlias.__init__', 'chainer.utils.walker_alias',
              'float32 scalars times integers stay float32 since NumPy 2.0 (NEP 50): the table of '
              'a large vocabulary would be summed in single precision, and samples would differ',
              after=walker_alias_table),
        Patch('sparse_matmul in float16', 'chainer.functions.math.sparse_matmul',
              'SciPy refuses sparse matrices of float16 by now', after=sparse_matmul_half),
        Patch('int of an array with one element', 'chainermn.iterators.multi_node_iterator',
              'NumPy 2.4 converts arrays of dimension 0 only (1.25 and later warn)',
              after=multi_node_iterator_size),
    ]
