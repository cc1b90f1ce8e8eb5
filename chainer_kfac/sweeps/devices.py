"""What this machine offers to share among the runs of a sweep."""
import os

from chainer_kfac.training import device


def cores() -> int:
    """Number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0))


def gpus() -> list[str]:
    """GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` names them; often none."""
    count = device.count_gpus()
    visible = os.environ.get('CUDA_VISIBLE_DEVICES')
    return visible.split(',')[:count] if visible else [str(index) for index in range(count)]
