"""The commands of a scheduler: submit a script, ask for states, cancel."""
import abc
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from chainer_kfac.exceptions import ConfigError, KFACError

NAMES = ('auto', 'slurm', 'pbs', 'openpbs', 'torque')
"""What ``--scheduler`` takes; ``pbs`` asks qsub which of the two it is."""
SECONDS = 60
"""How long a scheduler may take to answer."""

_SLURM_ENDED = {'COMPLETED', 'FAILED', 'CANCELLED', 'TIMEOUT', 'NODE_FAIL', 'OUT_OF_MEMORY',
                'BOOT_FAIL', 'DEADLINE'}
_PBS_STATES = {'Q': 'pending', 'W': 'pending', 'T': 'pending', 'H': 'held', 'R': 'running',
               'B': 'running', 'E': 'ending', 'S': 'suspended', 'U': 'suspended'}


class State(NamedTuple):
    """What the scheduler says of a job or a part of one."""

    word: str
    active: bool  # whether it waits or runs


UNKNOWN = State('ended', False)
"""Of what the scheduler does not know any more."""


class SubmitError(KFACError):
    """A scheduler that is missing, refuses a job or says what cannot be understood."""


class Scheduler(abc.ABC):
    """One scheduler, through its commands.

    Attributes:
        dialect (str): name of the dialect of its scripts.
        command (str): what submits.
    """

    dialect: str
    command: str

    def is_here(self) -> bool:
        """Whether its commands are on this machine."""
        return shutil.which(self.command) is not None

    def check(self, script: str | os.PathLike, cwd: str | os.PathLike) -> None:
        """Raise SubmitError if the scheduler would take the script and never run it."""
        return

    @abc.abstractmethod
    def submit(self, script: str | os.PathLike, cwd: str | os.PathLike) -> str:
        """Submit a script from a folder.

        Returns:
            str: the number of the job.
        Raises:
            SubmitError: if it is refused, in the scheduler's own words.
        """

    @abc.abstractmethod
    def task_id(self, job_id: str, task: int) -> str:
        """Number of one part of an array."""

    @abc.abstractmethod
    def states(self, job_ids: Sequence[str]) -> Mapping[str, State]:
        """States of jobs and of parts of arrays by number, of those that it still knows."""

    @abc.abstractmethod
    def cancel(self, job_ids: Sequence[str]) -> None:
        """Cancel jobs; those that have ended are no error."""


class SlurmCommands(Scheduler):
    """``sbatch``, ``squeue``, ``scancel``."""

    dialect, command = 'slurm', 'sbatch'

    def check(self, script, cwd):
        _run(['sbatch', '--test-only', os.fspath(script)], cwd)

    def submit(self, script, cwd):
        said = _run(['sbatch', '--parsable', os.fspath(script)], cwd).stdout.strip()
        number = said.splitlines()[-1].split(';')[0] if said else ''
        return _number(number, r'\d+', 'sbatch', said)

    def task_id(self, job_id, task):
        return '{}_{}'.format(job_id, task)

    def states(self, job_ids):
        said = _run(['squeue', '--noheader', '--array', '--states=all',
                     '--user={}'.format(os.getuid()), '--format=%i|%T|%r']).stdout
        found = {}
        for line in said.splitlines():
            number, state, reason = line.strip().split('|', 2)
            word = 'pending ({})'.format(reason) if state == 'PENDING' else state.lower()
            found[number] = State(word.replace('_', ' '), state not in _SLURM_ENDED)
        return found

    def cancel(self, job_ids):
        _run(['scancel', '--quiet', *job_ids])


class PbsCommands(Scheduler):
    """``qsub``, ``qstat``, ``qdel``.

    Args:
        dialect (str): ``'openpbs'`` or ``'torque'``.
    """

    command = 'qsub'

    def __init__(self, dialect):
        self.dialect = dialect

    def submit(self, script, cwd):
        said = _run(['qsub', os.fspath(script)], cwd).stdout.strip()
        return _number(said.splitlines()[-1] if said else '', r'\d+(\[\])?(\.[\w.-]+)?', 'qsub',
                       said)

    def task_id(self, job_id, task):
        number, dot, server = job_id.partition('.')
        if number.endswith('[]'):
            return '{}[{}]{}'.format(number[:-2], task, dot + server)
        return '{}_{}'.format(job_id, task)

    def states(self, job_ids):
        found = {}
        for number in job_ids:
            answer = _run(['qstat', '-t', number], check=False)
            if answer.returncode:  # one that does not show the parts of an array
                answer = _run(['qstat', number], check=False)
            for line in answer.stdout.splitlines():
                columns = line.split()
                if len(columns) >= 6 and columns[0][0].isdigit():
                    # the name of the server may be cut off in the first column
                    whole = columns[0].partition('.')[0] + ''.join(number.partition('.')[1:])
                    word = _PBS_STATES.get(columns[-2])
                    found[whole] = State(word, True) if word else UNKNOWN
        return found

    def cancel(self, job_ids):
        for number in job_ids:
            _run(['qdel', number], check=False)


def find(name: str) -> Scheduler:
    """The scheduler that the user means.

    Args:
        name (str): one of `NAMES`.
    Raises:
        ConfigError: if it is not here, or ``auto`` finds none whose jobs are made here.
    """
    if name == 'auto' and not shutil.which('sbatch') and (
            shutil.which('pjsub') or os.environ.get('SGE_ROOT')):
        raise ConfigError('this cluster has neither SLURM nor PBS: make a copy of the script for '
                          'its scheduler in jobscripts/sites/ and submit that by hand')
    found = of_dialect(dialect(name))
    if not found.is_here():
        raise ConfigError('there is no {} here: submit on a login node of the cluster, or print '
                          'the script with --dry-run'.format(
                              'sbatch or qsub' if name == 'auto' else found.command))
    return found


def of_dialect(name: str) -> Scheduler:
    """The scheduler whose scripts are in that dialect."""
    return SlurmCommands() if name == 'slurm' else PbsCommands(name)


def dialect(name: str) -> str:
    """The dialect that a name of `NAMES` means on this machine.

    ``auto`` is SLURM where there is sbatch, also beside a qsub, which SLURM has too, and where
    there is neither. ``pbs`` is OpenPBS unless qsub says that it is Torque's.
    """
    if name == 'auto':
        name = 'pbs' if shutil.which('qsub') and not shutil.which('sbatch') else 'slurm'
    if name != 'pbs':
        return name
    if shutil.which('qsub') is None:
        return 'openpbs'
    said = _run(['qsub', '--version'], check=False)
    return 'torque' if re.search(r'^Version: \d', said.stdout + said.stderr, re.MULTILINE) \
        else 'openpbs'


def _run(command, cwd=None, check=True):
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=SECONDS,
                              stdin=subprocess.DEVNULL, check=False)
    except FileNotFoundError:
        raise SubmitError('there is no {} here'.format(command[0])) from None
    except subprocess.TimeoutExpired:
        raise SubmitError('{} did not answer within {} s: try again when the scheduler does'.format(
            command[0], SECONDS)) from None
    if check and done.returncode:
        raise SubmitError('{} refuses: {}'.format(command[0], _reason(done, command[0])))
    return done


def _reason(done, program):
    """What a command complained of, in one line."""
    lines = [re.sub(r'^({}: )?(error: |allocation failure: )?'.format(program), '', line.strip())
             for line in (done.stderr or done.stdout).splitlines() if line.strip()]
    return '; '.join(lines) or 'exit code {}'.format(done.returncode)


def _number(text, pattern, program, said):
    if not re.fullmatch(pattern, text):
        raise SubmitError('{} has not said the number of the job but {!r}: look with its own '
                          'commands whether it was submitted'.format(program, said))
    return text
