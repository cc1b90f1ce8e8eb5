"""Results on the disk of a worker until the database has them."""
import json
import logging
import os
import pathlib
import re
import tempfile
from collections.abc import Iterator
from typing import Any

from chainer_kfac.compat import require
from chainer_kfac.search.lease import Claim

logger = logging.getLogger(__name__)

_ObjectId = require('bson', 'the search').ObjectId


class Spool:
    """A folder of undelivered results, shared by the workers of one file system.

    A result is put here before it is sent, so that a worker that dies in between loses nothing:
    the next worker that starts with this folder delivers it. Sending twice is harmless.

    Workers of several databases may share a folder: each sees the results that its own waits for.

    Args:
        path (path): the folder; made when first needed.
        database (str): `Store.identity` of the database that the results are for.
    """

    def __init__(self, path: str | os.PathLike, database: str):
        self.path = pathlib.Path(path)
        self._database = database

    def put(self, claim: Claim, state: int, result: dict[str, Any],
            curve: list[dict[str, Any]]) -> pathlib.Path | None:
        """Write a result, whole or not at all.

        Returns:
            Path or None: the file; None if the disk refuses it, which is logged.
        """
        content = {'database': self._database, 'id': str(claim.id), 'exp_key': claim.exp_key,
                   'tid': claim.tid, 'owner': claim.owner, 'attempt': claim.attempt,
                   'state': state, 'result': result, 'curve': curve}
        name = re.sub(r'[^A-Za-z0-9_.-]', '_', '{}-{}-{}'.format(
            claim.exp_key, claim.tid, claim.attempt))
        target = self.path / '{}-{}.json'.format(name[:150], claim.id)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile('w', dir=self.path, delete=False) as stream:
                try:
                    json.dump(content, stream, allow_nan=False)
                    stream.flush()
                    os.fsync(stream.fileno())
                    os.replace(stream.name, target)
                except BaseException:
                    os.unlink(stream.name)
                    raise
        except OSError as error:
            logger.warning('cannot keep the result of trial %s in %s (%s): it is held in memory '
                           'until the database has it', claim.tid, self.path, error.strerror)
            return None
        return target

    def waiting(self) -> Iterator[tuple[pathlib.Path, Claim, int, dict, list]]:
        """The results for this database: file, claim, state, result and curve. Damaged files are
        named and left alone."""
        for path in sorted(self.path.glob('*.json')):
            try:
                content = json.loads(path.read_text())
                if content['database'] != self._database:
                    continue
                claim = Claim(_ObjectId(content['id']), content['exp_key'], content['tid'],
                              content['owner'], content['attempt'])
                entry = path, claim, content['state'], content['result'], content['curve']
            except FileNotFoundError:
                continue  # another worker has delivered it
            except (ValueError, KeyError, TypeError, OSError,
                    require('bson.errors', 'the search').BSONError) as error:
                logger.warning('%s is no result that can be delivered (%s): look at it, then '
                               'delete it', path, error)
                continue
            yield entry
