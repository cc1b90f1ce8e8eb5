"""A rank's own end of the watch over all ranks; `guardian` is the other."""
import json
import logging
import secrets
import subprocess
import sys

from chainer_kfac.communicators import guardian

logger = logging.getLogger(__name__)


class Watchdog:
    """Ends all ranks within half a minute when one of them dies or stops answering.

    Starting is collective.

    Args:
        ranks (Ranks): who is watched.
    """

    def __init__(self, ranks):
        token = secrets.token_hex(16) if ranks.rank == 0 else None
        names = [ranks.name(rank) for rank in range(ranks.size)]
        where = None
        if ranks.rank == 0:
            where = json.loads(self._start(0, names, token, None))
        where, token = ranks.bcast((where, token))
        said = 'connected'
        if ranks.rank != 0:
            said = self._start(ranks.rank, names, token, where)
        for rank, each in enumerate(ranks.gather(said)):
            if each != 'connected' and ranks.rank == 0:
                logger.warning('%s cannot be watched (%s): if it dies or stops answering, the '
                               'others may wait for it in vain', ranks.name(rank), each)

    def _start(self, rank, names, token, where):
        """Start the guardian; returns the line that it answers."""
        self._process = subprocess.Popen(
            [sys.executable, '-I', '-S', guardian.__file__], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True)
        self._process.stdin.write(json.dumps({
            'rank': rank, 'size': len(names), 'names': names, 'token': token, 'where': where})
            + '\n')
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()

    def close(self, farewell: str = 'bye') -> None:
        """Stop watching: from here on the end of this process is no alarm.

        Args:
            farewell (str): 'bye', or 'over' if this rank is about to end all the others.
        """
        if self._process.stdin.closed:
            return
        try:
            self._process.stdin.write(farewell + '\n')
            self._process.stdin.close()
        except OSError:
            pass  # it had no connection, and has left
        self._process.wait()
        self._process.stdout.close()
