"""The model of many ranks: sizes, limits that can be worked out by hand, and bytes."""
import math

import pytest

from benchmarks.scaling import figure, main, model, report
from benchmarks.scaling.layers import Layer, lenet5, resnet50
from benchmarks.scaling.model import Network, Rates, Strategy, step
from chainer_kfac.models import LeNet5

RATES = Rates(2e9, 3e9, 5e9)
FREE = Network(0.0, math.inf)
NET = Network(1e-3, 1e6)


def test_the_layers_are_those_of_the_networks():
    net = LeNet5()
    links = {link.name: link for link in net.children()}
    for layer in lenet5():
        W = links[layer.name].W
        assert (layer.inputs, layer.outputs) == (W[0].size + 1, len(W))
    assert sum(layer.weights for layer in lenet5()) == sum(p.size for p in net.params())
    # 25,557,032 parameters, of which 53,120 are of batch normalisation; 3.86 G multiply-adds
    assert sum(layer.weights for layer in resnet50()) == 25_557_032 - 53_120
    assert sum(each.weights * each.positions for each in resnet50()) == pytest.approx(3.86e9, 1e-3)


LAYERS = [Layer('a', 10, 20, 3), Layer('b', 30, 5, 1)]


def test_one_rank_computes_everything_and_sends_nothing():
    found = step(LAYERS, 4, 1, Strategy(), RATES, NET)
    gradient = 6 * 4 * (3 * 200 + 150) / 2e9
    factors = 4 * (3 * (10 ** 2 + 20 ** 2) + 30 ** 2 + 5 ** 2) / 3e9
    inverses = (10 ** 3 + 20 ** 3 + 30 ** 3 + 5 ** 3) / 5e9
    rest = 2 * (200 * 30 + 150 * 35) / 3e9
    assert found.computing == pytest.approx(gradient + factors + inverses + rest)
    assert (found.communicating, found.bytes) == (0, 0)


def test_sgd_sends_each_gradient_there_and_back():
    found = step(LAYERS, 4, 8, Strategy(kfac=False), RATES, NET)
    assert found.communicating == pytest.approx(2 * (3 * 1e-3 + 7 / 8 * 4 * 350 / 1e6))
    assert found.bytes == 2 * 4 * 350


@pytest.mark.parametrize(('strategy', 'numbers'), [
    (Strategy(), 2 * 350 + 55 + 210 + 465 + 15),
    (Strategy(packed=False), 2 * 350 + 100 + 400 + 900 + 25),
    (Strategy(fraction=1.0), 2 * 350 + 2 * (55 + 210 + 465 + 15)),
    (Strategy(factors=5), 2 * 350 + (55 + 210 + 465 + 15) / 5),
    (Strategy(rows=True), 2 * 350 + 55 + 2 * 4 * 1 * 30 + 210 + 15),  # 8 rows < 30 / 2
])
def test_what_a_step_sends(strategy, numbers):
    assert step(LAYERS, 4, 2, strategy, RATES, NET).bytes == pytest.approx(4 * numbers)


def test_float16_halves_what_is_sent():
    whole, half = (step(LAYERS, 4, 2, Strategy(half=half), RATES, NET).bytes
                   for half in (False, True))
    assert half == whole / 2


def test_an_owner_a_layer_takes_as_long_as_the_costliest_layer():
    many = step(LAYERS, 4, 64, Strategy(), RATES, FREE).computing
    some = step(LAYERS, 4, 2, Strategy(), RATES, FREE).computing
    assert many == pytest.approx(some)  # there are two layers
    assert some < step(LAYERS, 4, 1, Strategy(), RATES, FREE).computing
    everywhere = step(LAYERS, 4, 64, Strategy(fraction=1.0), RATES, FREE).computing
    assert everywhere == pytest.approx(step(LAYERS, 4, 1, Strategy(), RATES, FREE).computing)


def test_page_and_figure_hold_every_strategy(tmp_path):
    kinds = {'slow': RATES, 'fast': RATES.times(100)}
    steps = {'SGD': {'seconds': 0.5, 'bytes': 0}, 'K-FAC': {'seconds': 0.75, 'bytes': 3e6}}
    result = {'date': '2018-01-01', 'machine': {'processor': 'P', 'cores': 2},
              'measured': [{'ranks': n, 'batch': 128, 'steps': steps} for n in (1, 2, 4)],
              'rates': {name: rates._asdict() for name, rates in kinds.items()},
              'predicted': list(main.predictions(kinds))}
    page = report.markdown(result)
    for name in (*model.STRATEGIES, *model.NETWORKS, *main.MODELS):
        assert name in page
    figure.draw(result, str(tmp_path / 'figure.png'))
    assert (tmp_path / 'figure.png').stat().st_size > 10_000
