"""The tests marked ``gpu``; in a dry run, some of the same on NumPy."""
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path

from benchmarks.gpu.record import ROOT

MESSAGES = 40
"""Failures of which the report says more than their number."""


def run(options: dict) -> dict:
    """Run pytest.

    Returns:
        dict: 'passed', 'failed', 'skipped', 'seconds', and 'failures': of each its test and the
        first line of its error.
    """
    chosen = ['tests/gpu/test_gpu_linalg.py', '-m', 'not gpu'] if options['dry_run'] else [
        'tests', '-m', 'gpu and not multi_gpu and not mpi and not mongo',
        '--continue-on-collection-errors']
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, 'junit.xml')
        process = subprocess.run(
            [sys.executable, '-m', 'pytest', '-q', '-p', 'no:cacheprovider', '--tb=short',
             '--junitxml', str(path), *chosen], cwd=ROOT)
        if not path.exists():
            raise RuntimeError('pytest ended with exit code {}'.format(process.returncode))
        return summary(path)


def summary(path: Path) -> dict:
    """Counts and failures from pytest's report in XML."""
    counts = {'passed': 0, 'failed': 0, 'skipped': 0}
    failures, seconds = [], 0.0
    for case in ET.parse(path).getroot().iter('testcase'):
        seconds += float(case.get('time', 0))
        bad = [child for child in case if child.tag in ('failure', 'error')]
        if bad:
            counts['failed'] += 1
            message = (bad[0].get('message') or bad[0].text or '').strip().splitlines()
            failures.append({'test': '{}::{}'.format(case.get('classname'), case.get('name')),
                             'message': message[0][:200] if message else ''})
        else:
            counts['skipped' if case.find('skipped') is not None else 'passed'] += 1
    return {**counts, 'seconds': seconds, 'failures': failures[:MESSAGES]}
