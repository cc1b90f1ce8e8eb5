"""What this machine offers to share among the runs of a sweep."""
import importlib.util
import os


def cores() -> int:
    """Number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0))


def gpus() -> list[str]:
    """GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` names them; often none."""
    if importlib.util.find_spec('cupy') is None:
        return []
    from chainer_kfac.training import device  # imports Chainer, which takes seconds
    count = device.count_gpus()
    visible = os.environ.get('CUDA_VISIBLE_DEVICES')
    return visible.split(',')[:count] if visible else [str(index) for index in range(count)]
