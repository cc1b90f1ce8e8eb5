"""What a sweep shows while it runs: a line for each run that ended, and where it stands now."""
import shutil
import sys
import time

TERMINAL_SECONDS = 1
FILE_SECONDS = 60


class Console:
    """Lines on a stream, and below them, on a terminal, one that is rewritten in place.

    In a file or a job's log the changing line is appended once a minute, if it has changed.

    Args:
        stream (file): the process's stderr when ``None``.
    """

    def __init__(self, stream=None):
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty()
        self._every = TERMINAL_SECONDS if self._terminal else FILE_SECONDS
        self._shown_at = time.monotonic() - (self._every if self._terminal else 0)
        self._shown = None

    def line(self, text):
        """Write a line that stays."""
        self._clear()
        self._write(text + '\n')

    def status(self, describe):
        """Show where the sweep stands, if the last time is long enough ago.

        Args:
            describe (callable): returns the text; called only if it will be shown.
        """
        if time.monotonic() - self._shown_at < self._every:
            return
        self._shown_at = time.monotonic()
        text = describe()
        if self._terminal:
            # cut to the width: what wraps cannot be rewritten in place
            self._write('\r\x1b[K' + text[:shutil.get_terminal_size().columns - 1])
        elif text != self._shown:
            self._write(text + '\n')
        self._shown = text

    def close(self):
        """Take the changing line away."""
        self._clear()

    def _clear(self):
        if self._terminal and self._shown is not None:
            self._write('\r\x1b[K')
            self._shown = None

    def _write(self, text):
        self._stream.write(text)
        self._stream.flush()
