"""Packaging of chainer_kfac; tools are configured in pyproject.toml."""
from setuptools import find_packages, setup

setup(
    name='chainer_kfac',
    version='0.1.0.dev0',
    description='K-FAC for Chainer: a reproduction of a 2018 study of large-batch training',
    license='MIT',
    python_requires='>=3.11',
    packages=find_packages(include=['chainer_kfac', 'chainer_kfac.*']),
    install_requires=[
        'chainer==7.8.1',
        'numpy>=2.0',
        'scipy>=1.13',
        'numba>=0.61',
        'PyYAML>=6',
        'scikit-learn>=1.5',
        'tqdm>=4',
    ],
    entry_points={'console_scripts': ['chainer-kfac = chainer_kfac.cli:main']},
)
