"""One run of a sweep as a process of its own, so that its end never touches the others."""
import os
import pathlib
import signal
import subprocess
import sys
import time

import yaml

from chainer_kfac.sweeps import failure, launch

CONSOLE = 'console.txt'
"""File in the run directory that takes what the process prints, attempt after attempt."""

_THREADS = ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS', 'NUMBA_NUM_THREADS')


def environment(slot, jobs, cores, gpus, base=os.environ, ranks=1) -> dict:
    """The variables that give a process its share of the machine.

    Cores are divided among all processes, unless the user has set ``OMP_NUM_THREADS``; with several
    jobs, each slot sees one GPU for each of its ranks.

    Args:
        slot (int): 0 .. jobs - 1, one running process each.
        jobs (int), cores (int): how many processes share how many cores.
        gpus (list of str): devices that may be used, as ``CUDA_VISIBLE_DEVICES`` names them.
        base (mapping): variables to start from.
        ranks (int): processes that work on one run together.
    Returns:
        dict: new.
    """
    variables = launch.variables(ranks, base)
    if 'OMP_NUM_THREADS' not in base:
        variables.update(dict.fromkeys(_THREADS, str(max(1, cores // (jobs * ranks)))))
    if jobs > 1 and len(gpus) > 1:
        own = [gpus[(slot * ranks + i) % len(gpus)] for i in range(ranks)]
        variables['CUDA_VISIBLE_DEVICES'] = ','.join(dict.fromkeys(own))
    return variables


class Child:
    """A running ``chainer-kfac train``.

    Args:
        config (RunConfig): the run.
        directory (path): its directory; made if need be.
        root (path): root of all runs, for the command line.
        requests (path): folder in which the configuration is handed over.
        variables (dict): environment.
        ranks (int): how many processes train it together, under ``mpirun`` if more than one.
    """

    def __init__(self, config, directory, root, requests, variables, ranks=1):
        self._ranks = ranks
        self.config = config
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        failure.clear(self.directory)
        request = pathlib.Path(requests) / '{}.yaml'.format(config.digest)
        request.write_text(yaml.safe_dump(config.dump(), sort_keys=False))
        command = [*launch.prefix(ranks), sys.executable, '-m', 'chainer_kfac', 'train',
                   str(request), '--root', str(root)]
        self._started = time.monotonic()
        with open(self.directory / CONSOLE, 'ab') as console:
            self._start = console.tell()
            # A process group of its own: Ctrl-C reaches the sweep alone, which stops its children.
            self._process = subprocess.Popen(
                command, env=variables, process_group=0,
                stdin=subprocess.DEVNULL, stdout=console, stderr=console)

    def poll(self) -> int | None:
        """The exit code, or ``None`` while the process runs."""
        return self._process.poll()

    @property
    def seconds(self) -> float:
        """How long it has been running."""
        return time.monotonic() - self._started

    def finish(self) -> str | None:
        """After the end: ``None`` if the run succeeded, else the reason, which is also stored."""
        code = self._process.wait()
        if code == 0:
            return None
        reason = self._reason(code)
        failure.write(self.directory, self.config, code, reason)
        return reason

    def interrupt(self):
        """Ask the process to store a snapshot and end."""
        if self._ranks == 1:
            self._signal(signal.SIGINT)
        elif self._process.poll() is None:
            # mpirun ends its ranks on SIGINT and SIGTERM, and passes this one on to them
            self._process.send_signal(signal.SIGUSR1)

    def kill(self):
        """End the process at once; the run resumes from its last snapshot."""
        self._signal(signal.SIGKILL)

    def wait(self, timeout=None):
        """Wait for the end after ``interrupt`` or ``kill``, which is no failure.

        Raises:
            subprocess.TimeoutExpired: if the process is still there after ``timeout`` seconds.
        """
        self._process.wait(timeout)

    def _signal(self, number):
        if self._process.poll() is None:
            os.killpg(self._process.pid, number)

    def _reason(self, code):
        """The last line that the command printed, or the signal that ended it."""
        if code < 0:
            return 'ended by signal {}'.format(signal.Signals(-code).name)
        with open(self.directory / CONSOLE, 'rb') as console:
            console.seek(self._start)
            lines = console.read().decode(errors='replace').splitlines()
        said = [line.strip() for line in lines if line.strip()]
        if not said:
            return 'exit code {} without a word'.format(code)
        banner = [line for line in said if not line.strip('-')]  # mpirun's, after all else
        if banner and said.index(banner[0]):
            said = said[:said.index(banner[0])]
        ours = [line for line in said if line.startswith('chainer-kfac')]
        return (ours or said)[-1].removeprefix('chainer-kfac train: ')
