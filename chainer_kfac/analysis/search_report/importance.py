"""How much of the loss each hyperparameter explains by itself."""
import numpy as np
from sklearn.ensemble import RandomForestRegressor

from chainer_kfac.analysis.search_report import svg
from chainer_kfac.search import results

EXPLANATION = (
    'Share of the variance of the loss over the whole space that each hyperparameter explains by '
    'itself (first-order functional ANOVA, Hutter et al. 2014), as a random forest has learned it; '
    'what is missing to 100% are interactions.')
ENOUGH = 12
BELIEVABLE = 0.3
"""R² out of bag from which the shares say something."""
TREES, SAMPLES, GRID = 64, 512, 24
WIDTH, ROW, LEFT, RIGHT = 1040, 26, 150, 940


def draw(experiment, trials):
    """The panel as HTML."""
    good = [trial for trial in trials if results.is_good(trial)]
    if len(good) < ENOUGH:
        return '<p class="empty">{} trials with a loss are needed, there are {}.</p>'.format(
            ENOUGH, len(good))
    shares, score = estimate(experiment, good)
    rows = sorted(zip(experiment.space.names, shares, strict=True), key=lambda each: -each[1])
    x = svg.Scale(0, max(0.01, *shares), LEFT, RIGHT)
    parts = []
    for index, (name, share) in enumerate(rows):
        y = 8 + index * ROW
        parts += [svg.text(LEFT - 10, y + 15, name, 'end', class_='label'),
                  svg.element('rect', x=float(LEFT), y=float(y + 3), width=x(share) - LEFT + 1,
                              height=ROW - 8, class_='bar' if score >= BELIEVABLE
                              else 'bar doubtful'),
                  svg.text(x(share) + 8, y + 15, '{:.0%}'.format(share), class_='tick')]
    picture = svg.drawing(WIDTH, 16 + len(rows) * ROW, *parts, title='importance')
    doubt = '' if score >= BELIEVABLE else (
        ': the forest does not foretell the loss of trials that it has not seen, so these shares '
        'may be chance; more trials are needed.')
    return '<p>Out-of-bag R² {} from {} trials{}</p>'.format(
        '{:.2f}'.format(score).replace('-', '−'), len(good), doubt or '.') + picture


def estimate(experiment, trials, seed=0):
    """First-order shares of variance.

    V_d = Var_v(E[f(x) | x_d = v]) / Var(f(x)), x uniform on the scale of the prior.

    Args:
        experiment (Experiment): gives the space.
        trials (list of dict): with a loss.
        seed (int): of the forest and of the sample.
    Returns:
        (list of float, float): a share for each hyperparameter, and the forest's R² out of bag.
    """
    dimensions = experiment.space.dimensions
    points = np.array([[each.unit(trial['misc']['vals'][each.name][0]) for each in dimensions]
                       for trial in trials])
    losses = np.array([trial['result']['loss'] for trial in trials])
    # ranks: one diverging trial must not be all that the forest learns
    ranks = losses.argsort().argsort() / (len(losses) - 1)
    forest = RandomForestRegressor(TREES, min_samples_leaf=2, oob_score=True, random_state=seed)
    forest.fit(points, ranks)
    sample = np.random.default_rng(seed).random((SAMPLES, len(dimensions)))
    variance = forest.predict(sample).var()
    shares = []
    for index in range(len(dimensions)):
        grid = np.repeat(sample[None, :SAMPLES // 4], GRID, axis=0)
        grid[:, :, index] = ((np.arange(GRID) + 0.5) / GRID)[:, None]
        means = forest.predict(grid.reshape(-1, len(dimensions))).reshape(GRID, -1).mean(axis=1)
        shares.append(float(means.var() / variance) if variance > 0 else 0.0)
    return shares, float(forest.oob_score_)
