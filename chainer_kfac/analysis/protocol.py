"""Where a run departs from the paper's protocol: field by field, from its configuration alone."""

NEUTRAL = frozenset(['format', 'experiment', 'profile', 'variant', 'seed', 'device', 'fast',
                     'curvature_epochs'])
"""Fields that name a run, choose where it is computed or look on: its statistics are the same."""


def departures(config, reference) -> dict:
    """Fields in which a run differs from the cell of the paper that it stands for.

    Args:
        config (dict): a run's ``config.yaml``.
        reference (dict): the cell under the ``paper`` profile, every field written out.
    Returns:
        dict: field -> [ours, the paper's], in the order of ``reference``.
    """
    return {field: [config.get(field), value] for field, value in reference.items()
            if field not in NEUTRAL and config.get(field) != value}


def sentence(all_departures, unit='row') -> str:
    """The departures of several rows in one line; '' if there are none. ``unit`` names a row.

    A field with the same two values in every row where it departs is given by value, one that is
    scaled row by row, as a decay epoch, by name alone. How many rows it is in is said of the
    latter, and of any that is not in all rows that depart.
    """
    departing = [row for row in all_departures if row]
    pairs = {}
    for row in departing:
        for field, pair in row.items():
            pairs.setdefault(field, []).append(pair)
    return ', '.join(_clause(field, values, len(departing), unit)
                     for field, values in pairs.items())


def _clause(field, values, departing, unit):
    where = ' in {} {}{}'.format(len(values), unit, 's' * (len(values) > 1))
    if any(pair != values[0] for pair in values):
        return '{} changed{}'.format(field, where)
    ours, theirs = values[0]
    return '{} {} instead of {}{}'.format(field, _say(field, ours), _say(field, theirs),
                                          where * (len(values) < departing))


def _say(field, value):
    if value is None:
        return 'all' if field in ('train_size', 'test_size') else 'none'
    return '{:.6g}'.format(value) if isinstance(value, float) else str(value)
