"""Run one command with a time limit, and leave none of its processes behind."""
import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import NamedTuple


class Outcome(NamedTuple):
    """How a command ended: its exit code (negative: a signal), and whether it ran out of time."""

    code: int
    seconds: float
    timed_out: bool


def run(command: list[str], limit: float, log: Path, environment: dict, *, folder: Path,
        grace: float = 2.0) -> Outcome:
    """Run ``command``, its output going to ``log``.

    Args:
        limit (float): seconds. What is left of it after ``limit - grace`` is there to end in: the
            process gets SIGINT first, then SIGTERM, then is killed.
        environment (dict): variables.
        folder (path): where it runs.
        grace (float): seconds between SIGINT and SIGTERM.
    """
    start = time.monotonic()
    with open(log, 'ab') as output:
        # A session of its own: whatever it starts in its group ends with it.
        process = subprocess.Popen(command, env=environment, cwd=folder, stdin=subprocess.DEVNULL,
                                   stdout=output, stderr=output, start_new_session=True)
        timed_out = not _ends_within(process, max(0.0, limit - grace))
        for number, patience in ((signal.SIGINT, grace), (signal.SIGTERM, 5.0),
                                 (signal.SIGKILL, None)):
            if process.poll() is not None:
                break
            os.killpg(process.pid, number)
            _ends_within(process, patience)
        _end_group(process.pid)
    return Outcome(process.returncode, time.monotonic() - start, timed_out)


def tail(log: Path, lines: int = 15) -> list[str]:
    """The last lines of a log that say something."""
    text = log.read_text(encoding='utf-8', errors='replace') if log.exists() else ''
    return [line.rstrip() for line in text.splitlines() if line.strip()][-lines:]


def _ends_within(process, seconds):
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def _end_group(group):
    """End what the process itself left running in its group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
