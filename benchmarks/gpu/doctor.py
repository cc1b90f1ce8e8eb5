"""``chainer-kfac doctor``, kept line by line."""
from chainer_kfac.cli import machine


def run(options: dict) -> dict:
    """What each check of the machine found.

    Raises:
        RuntimeError: naming what should work here and does not.
    """
    findings = [check() for check in machine.CHECKS]
    broken = [finding.topic for finding in findings if finding.state == 'broken']
    if broken:
        raise RuntimeError('broken here: {}'.format(', '.join(broken)))
    return {'findings': [finding._asdict() for finding in findings]}
