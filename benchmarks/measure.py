"""Time steps in turns, so that what disturbs the machine disturbs all of them alike."""
import statistics

from benchmarks.rows import Row


def run(rows: list[Row], rounds: int, warm_up: int = 2) -> dict[str, list[dict]]:
    """Time every row once a round.

    Each row makes a step that is not timed before the one that is, so that it finds the caches as
    it would left them itself.

    Args:
        rows: in the order of their turns.
        rounds: turns of each.
        warm_up: steps of each before the first round: kernels are loaded, paths are chosen.
    Returns:
        dict: for each row's name, the seconds by phase in each round, a mean over the row's parts.
    """
    for row in rows:
        for _ in range(warm_up):
            row.parts[0][1]()
        for _, step in row.parts[1:]:
            step()
    results = {row.name: [] for row in rows}
    for _ in range(rounds):
        for row in rows:
            row.parts[0][1]()
            seconds = {}
            for share, step in row.parts:
                for phase, value in step().items():
                    seconds[phase] = seconds.get(phase, 0.0) + share * value
            results[row.name].append(seconds)
    return results


def summary(results: dict[str, list[dict]], references=('SGD', 'Chainer SGD', 'PyTorch SGD')):
    """Medians over the rounds.

    Returns:
        list of dict, one a row: name; ``ms``, median of a step, ``fastest_ms``; ``phases``, median
        milliseconds of each; ``ratio``: by reference, the median over rounds of this step's time
        by the reference's of the same round, and ``spread``: the quartiles of that ratio.
    """
    totals = {name: [sum(seconds.values()) for seconds in rounds]
              for name, rounds in results.items()}
    found = []
    for name, rounds in results.items():
        ratios = {other: [a / b for a, b in zip(totals[name], totals[other], strict=True)]
                  for other in references if other in totals}
        phases = {phase: 1e3 * statistics.median(seconds.get(phase, 0.0) for seconds in rounds)
                  for phase in dict.fromkeys(p for seconds in rounds for p in seconds)}
        found.append({
            'name': name,
            'ms': 1e3 * statistics.median(totals[name]),
            'fastest_ms': 1e3 * min(totals[name]),
            'phases': phases,
            'ratio': {other: statistics.median(values) for other, values in ratios.items()},
            'spread': {other: _quartiles(values) for other, values in ratios.items()},
        })
    return found


def _quartiles(values):
    if len(values) < 2:
        return [values[0], values[0]]
    first, _, third = statistics.quantiles(values, n=4, method='inclusive')
    return [first, third]
