"""Everything is killed -9 at random, in a form that is short enough for every day."""
import pathlib
import subprocess
import sys

import pytest


@pytest.mark.mongo
@pytest.mark.slow
def test_soak():
    """``python tests/search/soak.py`` is the long form: 200 trials, 6 workers."""
    soak = pathlib.Path(__file__).with_name('soak.py')
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', str(soak), '--trials', '24', '--workers', '2',
         '--kill-every', '4', '--limit', '240'],
        capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    summary = done.stdout.splitlines()[-1]
    assert summary.startswith('24 trials, 2 workers, ')
    assert summary.endswith('kills: 24 done, 0 lost, 0 twice')
