"""What the measurements are held against."""
from typing import NamedTuple


class Target(NamedTuple):
    """``found`` is None where nothing was measured."""

    what: str
    wanted: str
    found: float | None
    met: bool | None


def targets(report: dict) -> list[Target]:
    """All targets; the times are meant for an H100, the others for any card."""
    data = {entry['name']: entry.get('data') or {} for entry in report['steps']}
    rows = {row['name']: row for row in data.get('times-2048', {}).get('rows', [])}
    found = [('tests that fail', 0, data.get('tests', {}).get('failed'))]
    for row in data.get('epochs', {}).get('rows', []):
        if row['optimizer'] == 'momentum_sgd':
            found.append(('seconds an epoch, SGD, batch {}'.format(row['batch']), 1.0,
                          row['seconds']))
    if not any(what.startswith('seconds') for what, *_ in found):
        found += [('seconds an epoch, SGD, batch {}'.format(batch), 1.0, None)
                  for batch in (512, 2048)]
    found.append(('K-FAC every step by SGD, batch 2048', 2.0,
                  rows['K-FAC']['ratio'].get('SGD') if 'K-FAC' in rows else None))
    waits = [row['waits'] for row in data.get('waits', {}).get('rows', [])]
    found.append(('waits of a step for the card', 1, max(waits, default=None)))
    memory = [row for row in data.get('memory', {}).get('rows', [])
              if row['name'].startswith('K-FAC')]
    peaks = [row['peak_mb'] if row['fits'] else float('inf') for row in memory]
    found.append(('MB of K-FAC at batch 2048', 3815, max(peaks, default=None)))
    met = [Target(what, 'at most {:g}'.format(limit), value,
                  None if value is None else value <= limit) for what, limit, value in found]
    shares = [row['share'] for row in data.get('inverses', {}).get('rows', [])]
    share = min(shares, default=None)
    return [*met, Target("share of cuSOLVER's rate, worst width", 'at least 0.6', share,
                         None if share is None else share >= 0.6)]
