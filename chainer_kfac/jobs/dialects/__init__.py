"""The dialects in which schedulers want a job written."""
from chainer_kfac.jobs.dialects.base import Dialect
from chainer_kfac.jobs.dialects.pbs import OpenPbs, Torque
from chainer_kfac.jobs.dialects.slurm import Slurm

DIALECTS: dict[str, Dialect] = {each.name: each for each in (Slurm(), OpenPbs(), Torque())}
"""By name."""

__all__ = ['DIALECTS', 'Dialect']
