"""From times to ratios, tables and a figure."""
import json

import pytest

from benchmarks import figure, main, measure, report
from benchmarks.rows import Row
from chainer_kfac.exceptions import KFACError


def step(*seconds):
    """A step whose calls take these seconds, in a cycle."""
    state = {'calls': 0}

    def call():
        state['calls'] += 1
        return {'forward': seconds[state['calls'] % len(seconds)], 'update': 1.0}
    return call


def test_ratios_are_within_a_round_and_parts_are_weighed():
    rows = [Row('SGD', [(1.0, step(1.0, 1.0, 3.0, 3.0))]),
            Row('other', [(0.5, step(2.0)), (0.5, step(4.0))])]
    results = measure.run(rows, rounds=4, warm_up=2)
    assert results['other'] == [{'forward': 3.0, 'update': 1.0}] * 4
    assert {r['forward'] for r in results['SGD']} == {1.0, 3.0}
    sgd, other = measure.summary(results)
    assert sgd['ratio'] == {'SGD': 1.0}
    assert other['ms'] == 4000
    assert other['ratio']['SGD'] == pytest.approx((4 / 2 + 4 / 4) / 2)
    assert other['spread']['SGD'] == [1.0, 2.0]


def result():
    rows = measure.summary({
        'SGD': [{'forward': 0.01, 'backward': 0.02, 'update': 0.001}] * 3,
        'K-FAC': [{'forward': 0.01, 'backward': 0.02, 'factors': 0.03, 'update': 0.001}] * 3,
        'augmentation': [{'augmentation': 0.001}] * 3})
    return {'format': 1, 'date': '2020-01-01', 'device': '@numpy', 'rounds': 3,
            'machine': {'processor': 'p', 'cores': 2, 'system': 's'}, 'versions': {'numpy': '2'},
            'steps': [{'batch': 128, 'threads': n, 'rounds': 3, 'rows': rows} for n in (1, 2)],
            'memory': [{'batch': 128, 'name': 'SGD', 'mb': 400.0},
                       {'batch': 128, 'name': 'PyTorch SGD', 'mb': None}],
            'first': {'imports': 0.5, 'first_step': 0.4}}


def test_page_has_every_row_and_states_what_is_not_there():
    page = report.markdown(result())
    assert '| SGD | 31.0 | 31.0 | 4,129 | 1 |' in page
    assert '| K-FAC | 61.0 | 61.0 | 2,098 | 1.97 (1.97-1.97) |' in page
    assert '| K-FAC | 10.0 | 20.0 | 30.0 | 1.0 |' in page
    assert '| SGD | 400 |' in page
    assert 'PyTorch' not in page
    assert '0.50 s for imports, then 0.40 s' in page


def test_a_result_keeps_what_only_an_earlier_one_has():
    earlier, new = result(), result()
    earlier['steps'][1]['rounds'] = 99
    new['steps'] = [{**new['steps'][0], 'rounds': 5}, {**new['steps'][0], 'batch': 64}]
    new['memory'], new['first'] = [], None
    both = main.merged(earlier, new)
    assert [(e['batch'], e['threads'], e['rounds']) for e in both['steps']] == [
        (64, 1, 3), (128, 1, 5), (128, 2, 99)]
    assert both['memory'] == earlier['memory']
    assert both['first'] == earlier['first']
    assert main.merged(None, new) is new
    assert main.merged({**earlier, 'versions': {'numpy': '3'}}, new) is new


def test_everything_is_written(tmp_path):
    main.write(result(), str(tmp_path / 'new' / 'cpu'))
    assert json.loads((tmp_path / 'new' / 'cpu.json').read_text()) == result()
    assert (tmp_path / 'new' / 'cpu.md').read_text() == report.markdown(result())
    assert (tmp_path / 'new' / 'cpu.png').read_bytes().startswith(b'\x89PNG')


def test_figure_has_a_panel_for_each_combination(tmp_path):
    many = result()
    many['steps'] = many['steps'] * 2
    figure.draw(many, str(tmp_path / 'f.png'))
    assert (tmp_path / 'f.png').stat().st_size > 10000


def test_a_failed_measurement_is_an_error():
    with pytest.raises(KFACError, match='exit code 1'):
        main.child(1, 'steps', 'x', 1, '@numpy', 'SGD')
