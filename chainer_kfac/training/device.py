"""The device of a run: which one, what it is called, and whether data fits into it."""
import os
import platform

import chainer
from chainer.backends import cuda

from chainer_kfac.compat import require
from chainer_kfac.exceptions import ConfigError

SHARE = 'KFAC_SHARE_GPUS'
"""Environment variable that lets several ranks train on one GPU."""


def choose(wanted: str | int) -> chainer.backend.Device:
    """The Chainer device for ``RunConfig.device``; 'auto' is GPU 0 if usable, else the CPU.

    Raises:
        ConfigError: if there is no such GPU.
        MissingDependency: if a GPU is asked for and CuPy is not installed.
    """
    if wanted == 'auto':
        wanted = 0 if count_gpus() else -1
    if wanted < 0:
        return chainer.get_device('@numpy')
    require('cupy', 'device={}'.format(wanted))
    found = count_gpus()
    if wanted >= found:
        raise ConfigError('device must be below the number of GPUs that can be used, {}, got {}: '
                          'use device=auto, or -1 for the CPU'.format(found, wanted))
    return chainer.get_device('@cupy:{}'.format(wanted))


def of_rank(wanted: str | int, ranks) -> chainer.backend.Device:
    """As `choose`, for one of several ranks: 'auto' gives each rank of a node a GPU of its own.

    Collective among the ranks.

    Raises:
        ConfigError: on all ranks, as `choose`; or if two ranks would have one GPU, unless there are
            fewer GPUs than ranks on the node and ``KFAC_SHARE_GPUS`` is 1; or if some ranks have a
            GPU and others have none.
    """
    if ranks.size == 1:
        return choose(wanted)
    found = count_gpus()
    if wanted == 'auto' and found:
        wanted = ranks.intra_rank % found
    device = ranks.together(choose, wanted)
    sharing = os.environ.get(SHARE) == '1' and found < ranks.intra_size
    holders = {}
    for rank, (identity, may_share) in enumerate(ranks.gather((_identity(device), sharing))):
        if (identity is None) != (_identity(device) is None):
            raise ConfigError('some ranks would train on GPUs and others on a CPU: give every node '
                              'the same, or set device=-1')
        other = holders.setdefault(identity, rank)
        if identity is not None and other != rank and not may_share:
            raise ConfigError('{} and {} would train on one GPU: start one rank a GPU and leave '
                              'device=auto, or set {}=1 where there are fewer GPUs'.format(
                                  ranks.name(other), ranks.name(rank), SHARE))
    return device


def _identity(device):
    """What tells a GPU from all others on all nodes; None for a CPU."""
    if device.xp is not cuda.cupy:
        return None
    properties = cuda.cupy.cuda.runtime.getDeviceProperties(device.device.id)
    return platform.node(), bytes(properties['uuid']), device.device.pci_bus_id


def count_gpus() -> int:
    """Number of GPUs that CuPy can use; 0 without CuPy, driver or card."""
    if not cuda.available:
        return 0
    try:
        return cuda.cupy.cuda.runtime.getDeviceCount()
    except cuda.cupy.cuda.runtime.CUDARuntimeError:
        return 0


def name(device: chainer.backend.Device) -> str:
    """What a person calls the device: 'NVIDIA ... (GPU 0)', or the CPU's model and its cores."""
    if device.xp is cuda.cupy:
        index = device.device.id
        model = cuda.cupy.cuda.runtime.getDeviceProperties(index)['name'].decode()
        return '{} (GPU {})'.format(model, index)
    return '{} ({} cores)'.format(_cpu_model(), len(os.sched_getaffinity(0)))


def fits(device: chainer.backend.Device, n_bytes: int) -> bool:
    """Whether that much data may stay on the device: at most half of what is free on a GPU."""
    if device.xp is not cuda.cupy:
        return True
    with chainer.using_device(device):
        free, _ = cuda.cupy.cuda.runtime.memGetInfo()
    return n_bytes <= free // 2


def _cpu_model():
    try:
        with open('/proc/cpuinfo') as stream:
            for line in stream:
                if line.startswith('model name'):
                    return line.partition(':')[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
