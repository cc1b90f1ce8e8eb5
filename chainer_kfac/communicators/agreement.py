"""All ranks must work on the same thing: what each of them has is compared by name."""
import functools
import hashlib
import importlib.metadata
import pathlib
import platform
from collections.abc import Mapping
from typing import Any

import chainer_kfac
from chainer_kfac.exceptions import ConfigError


def agree(ranks, what: str, things: Mapping[str, Any], remedy: str) -> None:
    """Go on only if every rank has what rank 0 has. Collective.

    Args:
        ranks (Alone or Ranks): who is to agree.
        what (str): begins the sentence, as in '``what`` NAME is ... on rank 1'.
        things (mapping): name -> plain value.
        remedy (str): ends the sentence.
    Raises:
        ConfigError: on all ranks, naming the first rank that differs and the thing.
    """
    gathered = ranks.gather(dict(things))
    for rank, theirs in enumerate(gathered):
        for name in {**gathered[0], **theirs}:
            here, there = gathered[0].get(name), theirs.get(name)
            if here != there:
                raise ConfigError('{}{} is {!r} on {} and {!r} on {}: {}'.format(
                    what + ' ' if what else '', name, there, ranks.name(rank), here,
                    ranks.name(0), remedy))


def code() -> dict[str, str]:
    """What computes: the version and digest of this package, and the packages below it."""
    return {'Python': platform.python_version(),
            'chainer_kfac': '{} {}'.format(chainer_kfac.__version__, sources()),
            **{name: importlib.metadata.version(name) for name in ('chainer', 'numpy', 'mpi4py')}}


@functools.lru_cache(maxsize=1)
def sources() -> str:
    """Twelve hexadecimal digits of the names and contents of the modules of this package."""
    digest = hashlib.sha256()
    root = pathlib.Path(chainer_kfac.__file__).parent
    for path in sorted(root.rglob('*.py')):
        content = path.read_bytes()
        digest.update('{} {}\n'.format(path.relative_to(root).as_posix(), len(content)).encode())
        digest.update(content)
    return digest.hexdigest()[:12]
