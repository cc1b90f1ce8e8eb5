"""``env.sh``: what a site and its user set before a job, read here as the job will read it."""
import os
import subprocess
from collections.abc import Mapping

from chainer_kfac.exceptions import ConfigError

DEFAULT = 'jobscripts/env.sh'
SECONDS = 60

_READ = '''\
set -e
trap 'echo "line $LINENO: $BASH_COMMAND" >&2' ERR
source "$1" >&2
env -0
'''


def find(flag: str | None) -> str | None:
    """The file that the user means: that of the flag, else the default one if it is there.

    Raises:
        ConfigError: if the file of the flag is not there.
    """
    if flag is not None and not os.path.isfile(flag):
        raise ConfigError('--env {}: there is no such file; jobscripts/env.sh.example is one to '
                          'begin with'.format(flag))
    return flag or (DEFAULT if os.path.isfile(DEFAULT) else None)


def read(path: str | None) -> Mapping[str, str]:
    """The variables that the file sets; none without a file.

    Raises:
        ConfigError: naming the line at which it fails, as for a module that is not there.
    """
    if path is None:
        return {}
    before = {name: value for name, value in os.environ.items()
              if not name.startswith(('KFAC_', 'CHAINER_'))}
    try:
        done = subprocess.run(['bash', '-c', _READ, 'env', os.path.abspath(path)],
                              env=before, capture_output=True, text=True, timeout=SECONDS,
                              errors='surrogateescape', stdin=subprocess.DEVNULL, check=False)
    except subprocess.TimeoutExpired:
        raise ConfigError('{} takes more than {} s: it must only set the environment'.format(
            path, SECONDS)) from None
    if done.returncode:
        *said, place = done.stderr.splitlines() or ['it exits by itself']
        raise ConfigError('{} fails at {}{}'.format(
            path, place, ' ({})'.format(said[-1].strip()) if said else ''))
    after = dict(each.split('=', 1) for each in done.stdout.split('\0') if '=' in each)
    return {name: value for name, value in after.items() if before.get(name) != value}
