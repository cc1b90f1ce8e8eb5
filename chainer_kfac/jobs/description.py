"""``JobDescription``: one batch job, in the terms of no scheduler."""
import dataclasses
import re

from chainer_kfac.exceptions import ConfigError

LONGEST_WARNING = 300
"""Seconds before the end of its time at which a job is told to store a snapshot; a quarter of the
time if that is less."""

_NAME = re.compile(r'[a-z][a-z0-9-]{0,14}')  # PBS takes no longer one
_ACCOUNT = re.compile(r'[A-Za-z0-9][A-Za-z0-9_.@:+-]*')


@dataclasses.dataclass(frozen=True, kw_only=True)
class JobDescription:
    """One job: what it runs, on what, and for how long.

    Attributes:
        name (str): of the job and its logs: at most 15 of ``a-z 0-9 -``.
        about (str): one line for the reader of the script.
        command (tuple of str): words of the command as a shell takes them, quoted where they are
            literal; ``"${PROFILE:-auto}"`` leaves a choice to the environment.
        tasks (tuple of tuples of str): further words of each task; several make an array.
        variables (tuple of str): what the command reads from the environment.
        nodes (int), gpus_per_node (int): gpus_per_node 0 is a job on CPUs.
        ranks_per_node (int or None): MPI processes a node; one a GPU when None, and one without.
        cpus_per_rank (int): cores of a process, and its threads.
        walltime (int): seconds after which the scheduler ends the job.
        account (str or None), queue (str or None): as the site names them.
        directives (tuple of str): further options for the scheduler, verbatim.
        launcher (str): ``'srun'`` or ``'mpirun'``; SLURM alone has both.
        workdir (str or None): absolute; where the job was submitted when None.
        env (str or None): file that the job reads first, relative to ``workdir``.
        path (str or None): folder of ``chainer-kfac`` where ``env`` need not provide it.
        logs (str or None): folder of the logs; ``workdir`` when None.
        trains (bool): whether it reads images and may be of several processes.
        endless (bool): whether it ends well when it is warned, and is to be continued then too.

    Raises:
        ConfigError: naming the flag and what it must be.
    """

    name: str
    about: str
    command: tuple[str, ...]
    tasks: tuple[tuple[str, ...], ...] = ((),)
    variables: tuple[str, ...] = ()
    nodes: int = 1
    gpus_per_node: int = 1
    ranks_per_node: int | None = None
    cpus_per_rank: int = 4
    walltime: int = 24 * 3600
    account: str | None = None
    queue: str | None = None
    directives: tuple[str, ...] = ()
    launcher: str = 'srun'
    workdir: str | None = None
    env: str | None = 'jobscripts/env.sh'
    path: str | None = None
    logs: str | None = None
    trains: bool = True
    endless: bool = False

    def __post_init__(self):
        for flag, value, least in (('nodes', self.nodes, 1),
                                   ('gpus-per-node', self.gpus_per_node, 0),
                                   ('ranks-per-node', self.per_node, 1),
                                   ('cpus-per-rank', self.cpus_per_rank, 1),
                                   ('time', self.walltime, 60)):
            if value < least:
                raise ConfigError('--{} must be at least {}, got {}{}'.format(
                    flag, least, value, ' seconds' if flag == 'time' else ''))
        if self.gpus_per_node and self.per_node != self.gpus_per_node:
            raise ConfigError('--ranks-per-node must be --gpus-per-node, {}, because each process '
                              'has a GPU of its own, got {}: leave it out'.format(
                                  self.gpus_per_node, self.ranks_per_node))
        if not _NAME.fullmatch(self.name):
            raise ConfigError('the name of a job must be at most 15 letters, digits and "-", '
                              'got {!r}'.format(self.name))
        for flag in ('account', 'queue'):
            value = getattr(self, flag)
            if value is not None and not _ACCOUNT.fullmatch(value):
                raise ConfigError('--{} must be a name without spaces, as the site gave it to you, '
                                  'got {!r}'.format(flag, value))
        for directive in self.directives:
            if not directive.startswith('-') or not directive.isprintable():
                raise ConfigError('--directive must be one option of the scheduler, as in '
                                  '--directive=--mem=32G, got {!r}'.format(directive))

    @property
    def warning(self) -> int:
        """Seconds before the end at which the job is told."""
        return min(LONGEST_WARNING, self.walltime // 4)

    @property
    def per_node(self) -> int:
        """MPI processes a node."""
        return max(1, self.gpus_per_node) if self.ranks_per_node is None else self.ranks_per_node

    @property
    def is_array(self) -> bool:
        """Whether it falls into several parts."""
        return len(self.tasks) > 1

    @property
    def has_arguments(self) -> bool:
        """Whether those parts have words of their own."""
        return self.is_array and any(self.tasks)


def hours(seconds: int) -> str:
    """``H:MM:SS``, which every scheduler takes."""
    minutes, rest = divmod(seconds, 60)
    return '{:02d}:{:02d}:{:02d}'.format(*divmod(minutes, 60), rest)
