"""What the check does, the most important first."""
from typing import NamedTuple

BATCHES = (512, 2048, 128)
"""In the order of their importance."""


class Step(NamedTuple):
    """One part of the check, run in a process of its own.

    Attributes:
        name: on the command line and in the report.
        title: what it does.
        seconds: the most that it may take.
        least: seconds below which it is not begun.
        on_a_card: whether NumPy cannot stand in for it.
        data: whether it needs CIFAR-10 (in a dry run the digits stand in).
        grace: seconds to end in, once its time is over.
    """

    name: str
    title: str
    seconds: float
    least: float = 10.0
    on_a_card: bool = False
    data: bool = False
    grace: float = 2.0


STEPS = (
    Step('card', 'the card, its driver and libraries', 60, on_a_card=True),
    Step('doctor', 'what this machine can do', 90),
    Step('tests', 'the tests marked gpu', 240, least=30),
    *(Step('times-{}'.format(batch), 'times of LeNet5 steps, batch {}'.format(batch), 75)
      for batch in BATCHES[:2]),
    Step('waits', 'how often a step waits for the card', 60, on_a_card=True),
    Step('memory', 'device memory of K-FAC at batch 2048', 60, on_a_card=True),
    Step('inverses', 'inverses of factors against cuSOLVER itself', 60),
    Step('times-{}'.format(BATCHES[2]), 'times of LeNet5 steps, batch {}'.format(BATCHES[2]), 75),
    Step('ranks', 'two MPI ranks on one card against one rank', 90),
    Step('nccl', 'the NCCL communicator with one rank', 60, on_a_card=True),
    Step('data', 'CIFAR-10 in the cache', 180),
    Step('epochs', 'seconds an epoch, data and augmentation on the card', 120, data=True),
    # Interrupted when its time is over, it stores snapshots; a later call goes on from there.
    *(Step('paper-{}'.format(batch), 'paper profile, batch {}'.format(batch), 1e9, least=60,
           data=True, grace=40) for batch in (2048, 512, 128)),
)

NAMES = tuple(step.name for step in STEPS)
