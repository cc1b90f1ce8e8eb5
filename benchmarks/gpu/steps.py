"""What the check does, the most important first."""
from typing import NamedTuple

HOURS = 1e5
"""Seconds of a step that ends with the whole check."""


class Step(NamedTuple):
    """One part of the check, run in a process of its own.

    Attributes:
        name: on the command line and in the report.
        title: what it does.
        seconds: the most that it may take.
        least: seconds below which it is not begun.
        dry: why a dry run leaves it out; empty if NumPy can stand in for the card.
        data: whether it needs CIFAR-10 (in a dry run the digits stand in).
        grace: seconds to end in, once its time is over.
    """

    name: str
    title: str
    seconds: float
    least: float = 10.0
    dry: str = ''
    data: bool = False
    grace: float = 2.0


CARD = 'needs a card'
STEPS = (
    Step('card', 'the card, its driver and libraries', 60, dry=CARD),
    Step('doctor', 'what this machine can do', 90),
    Step('tests', 'the tests marked gpu', 240, least=30),
    Step('times-512', 'times of LeNet5 steps, batch 512', 75, dry='times-128 stands in'),
    Step('times-2048', 'times of LeNet5 steps, batch 2048', 75, dry='times-128 stands in'),
    Step('waits', 'how often a step waits for the card', 60, dry=CARD),
    Step('memory', 'device memory of steps at batch 2048', 60, dry=CARD),
    Step('inverses', 'inverses of factors against cuSOLVER itself', 60),
    Step('times-128', 'times of LeNet5 steps, batch 128', 75),
    Step('ranks', 'two MPI ranks on one card against one rank', 90),
    Step('nccl', 'the NCCL communicator with one rank', 60, dry=CARD),
    Step('data', 'CIFAR-10 in the cache', 180, dry='the digits stand in'),
    Step('epochs', 'seconds an epoch, data and augmentation on the card', 120, data=True),
    # Interrupted when their time is over, they store snapshots; a later call goes on from there.
    Step('paper-2048', 'paper profile, batch 2048', HOURS, least=60, dry='paper-128 stands in',
         data=True, grace=40),
    Step('paper-512', 'paper profile, batch 512', HOURS, least=60, dry='paper-128 stands in',
         data=True, grace=40),
    Step('paper-128', 'paper profile, batch 128', HOURS, least=60, data=True, grace=40),
)

NAMES = tuple(step.name for step in STEPS)
