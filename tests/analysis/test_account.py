"""The account says what the runs say, and claims nothing that seeds can explain."""
import json
import math

import pytest

from chainer_kfac.analysis import account
from chainer_kfac.analysis.account import batches, facts, optimizers, tuning
from chainer_kfac.analysis.searches import Search


@pytest.fixture
def results(tmp_path):
    return tmp_path / 'results'


@pytest.fixture
def part(results):
    """``part('missing')`` is that part as it would be written now."""
    return lambda name: account.PARTS[name](results)


@pytest.fixture
def add(write_run):
    """``add('kfac', 512, 0.7, 0.71)`` adds one run a seed, with that best accuracy."""
    def write(optimizer, batch_size, *best, **fields):
        for seed, accuracy in enumerate(best):
            write_run(optimizer, batch_size, (0.25, accuracy, accuracy - 0.0625), root='results',
                      seed=seed, **fields)
    return write


def line(text, start):
    """The cells of the line of a table that starts so."""
    found, = [each for each in text.splitlines() if each.startswith('| ' + start)]
    return [cell.strip() for cell in found.strip('|').split('|')]


@pytest.mark.parametrize('name', account.PARTS)
def test_without_runs_nothing_is_claimed(part, name):
    text = part(name)
    assert 'as the paper, ' not in text
    assert '| as the paper' not in text
    assert '| opposite' not in text
    assert name != 'claims' or line(text, '1. ')[1:] == ['0', '0', '0', '9', '0', '0', '0']


def test_one_seed_is_no_claim(part, add):
    add('momentum_sgd', 512, 0.75)
    add('adam', 512, 0.5)
    text = part('order of optimizers')
    assert line(text, '  512 | Momentum SGD − Adam') == [
        '512', 'Momentum SGD − Adam', '+0.0306', '+0.2500', '1 and 1',
        'as the paper, no claim: one seed']
    assert 'Of 9 comparisons 1 point the way of the paper, 0 the other way and 8' in text
    assert 'Findings: 0 the way of the paper, 0 the other way' in text


def test_a_finding_is_more_than_what_seeds_do(part, add):
    add('momentum_sgd', 512, 0.75, 0.751, 0.752)
    add('adam', 512, 0.5, 0.501)
    add('kfac', 512, 0.4, 0.61)
    text = part('order of optimizers')
    assert line(text, '  512 | Momentum SGD − Adam')[3:] == [
        '+0.2505 ± 0.0008', '3 and 2', 'as the paper']
    assert line(text, '  512 | Adam − K-FAC')[3:] == [
        '-0.0045 ± 0.1050', '2 and 2', 'opposite, no claim: within the spread of the seeds']
    assert 'Findings: 1 the way of the paper, 0 the other way' in text


def test_standard_error():
    difference = facts.Difference.of([1.0, 2.0, 3.0], [4.0, 6.0])
    assert difference.value == -3
    assert difference.error == pytest.approx(math.sqrt(1 / 3 + 2 / 2))
    assert not difference.decided
    assert facts.Difference.of([1.0], []) is None
    assert facts.Difference.of([1.0], [2.0, 3.0]).error is None


def test_verdicts_have_the_sign_of_the_paper():
    clear = facts.Difference(-0.1, 0.001, (3, 3))
    assert facts.verdict(clear, -0.2) == 'as the paper'
    assert facts.verdict(clear, 0.2) == 'opposite'
    assert facts.verdict(None, 1) == 'missing'


def test_a_finding_with_a_cell_above_the_papers_is_marked(part, add):
    for optimizer, accuracy in (('momentum_sgd', 0.6), ('adam', 0.7), ('kfac', 0.8)):
        add(optimizer, 2048, accuracy, accuracy)
    text = part('order of optimizers')
    assert line(text, ' 2048 | Momentum SGD − Adam')[5] == 'opposite'
    assert line(text, ' 2048 | Adam − K-FAC')[5] == "opposite; K-FAC 2048 above the paper's"
    assert "3 the other way; 2 of them with a cell above the paper's." in text
    assert line(part('claims'), '1. ')[1:] == ['0', '3', '0', '6', '0', '3', '2']


def test_iterations_until_what_all_batch_sizes_reach(part, add):
    add('kfac', 128, 0.72)
    add('kfac', 2048, 0.66)
    assert line(part('large batches, convergence'), 'K-FAC') == [
        'K-FAC', '0.65', '128, 2048', '781, 48', '2, 2', 'as the paper, no claim: one seed']


def test_fewer_iterations_are_a_finding_only_by_every_step(part, add):
    add('kfac', 128, 0.7, 0.7)
    add('kfac', 512, 0.7, 0.7)
    add('kfac', 2048, 0.7, 0.7)
    assert line(part('large batches, convergence'), 'K-FAC')[3:] == [
        '781, 195, 48', '2, 2, 2', 'as the paper']


def test_iterations_that_seeds_may_explain_are_no_finding(part, add, write_run):
    add('kfac', 128, 0.7, 0.7)
    write_run('kfac', 512, [0.7], root='results')
    write_run('kfac', 512, [0.5] * 5 + [0.7], root='results', seed=1)
    add('kfac', 2048, 0.7, 0.7)
    assert line(part('large batches, convergence'), 'K-FAC')[3:] == [
        '781, 341, 48', '2, 3.5, 2', 'as the paper, no claim: within the spread of the seeds']


def test_the_threshold_is_reached_by_all():
    logs = [[{'validation/main/accuracy': value} for value in values]
            for values in ((0.3, 0.7), (0.6, 0.649))]
    assert batches.common_threshold(logs) == pytest.approx(0.6)
    logs.append([{'validation/main/accuracy': 0.6}])
    assert batches.common_threshold(logs) == pytest.approx(0.6)


def test_what_large_batches_lose_also_at_tuned_values(part, add):
    add('kfac', 128, 0.7)
    add('kfac', 2048, 0.6)
    add('kfac', 128, 0.7, 0.701, variant='tuned', lr=0.01)
    add('kfac', 2048, 0.75, 0.751, variant='tuned', lr=0.01)
    text = part('large batches, final accuracy')
    assert line(text, 'K-FAC 2048 − 128')[1:3] == ['-0.0920', '-0.1000']
    assert line(text, 'K-FAC 2048 (tuned) − 128')[1:] == [
        '', '+0.0500 ± 0.0007', '2 and 2', 'opposite']


def test_signs_of_overfitting(part, add):
    add('kfac', 512, 0.5)
    add('adam', 512, 0.75)
    text = part('overfitting')
    assert line(text, 'K-FAC 512') == ['K-FAC 512', '0.7500', '0.4375', '+0.3125', '+0.0625',
                                       '1.5000', '1.5625', '1']
    assert line(text, '  512 | K-FAC − Adam')[2:] == ['+0.2500', '+0.2500', '1 and 1',
                                                      'as the paper, no claim: one seed']


def test_gap_and_fall():
    log = [{'main/accuracy': a, 'validation/main/accuracy': v}
           for a, v in ((0.5, 0.4), (0.7, 0.6), (0.9, 0.55))]
    assert optimizers.gap(log) == pytest.approx(0.35)
    assert optimizers.fall(log) == pytest.approx(0.05)


def of(*pairs):
    return [{'main/accuracy': train, 'validation/main/accuracy': validation}
            for train, validation in pairs]


def test_the_gap_at_a_training_accuracy_lies_between_epochs():
    log = of((0.5, 0.6), (0.7, 0.6), (0.6, 0.5), (0.8, 0.6))
    gaps = [optimizers.gap_at(log, accuracy) for accuracy in (0.4, 0.5, 0.55, 0.7, 0.75, 0.9)]
    assert gaps == pytest.approx([-0.1, -0.1, -0.05, 0.1, 0.175, 0.2])


def test_a_gap_that_comes_with_training_accuracy_is_no_finding(part, write_run):
    for seed in (0, 1):     # a quarter more training accuracy an epoch
        write_run('kfac', 512, (0.5, 0.6, 0.65, 0.7, 0.7), root='results', seed=seed)
        write_run('momentum_sgd', 512, (0.1, 0.2, 0.6), root='results', seed=seed)
        write_run('adam', 512, (0.5, 0.6, 0.7), root='results', seed=seed)
    text = part('overfitting')
    assert line(text, '  512 | K-FAC − Momentum SGD')[2:] == [
        '+0.4000 ± 0.0000', '-0.0500 ± 0.0000', '2 and 2',
        'undecided: the reverse at equal training accuracy']
    assert line(text, '  512 | K-FAC − Adam')[2:] == [
        '+0.5000 ± 0.0000', '+0.0500 ± 0.0000', '2 and 2', 'as the paper']
    assert '1 point the way of the paper, 0 the other way, 1 undecided and 4 are missing' in text
    assert 'Findings: 1 the way of the paper, 0 the other way' in text


def test_gaps_are_compared_at_a_training_accuracy_that_every_seed_reaches(part, write_run):
    for seed, epochs in ((0, 3), (1, 4)):   # a quarter more training accuracy an epoch
        write_run('adam', 512, (0.3,) * epochs, root='results', seed=seed)
        write_run('kfac', 512, (0.2,) * 4, root='results', seed=seed)
    assert line(part('overfitting'), '  512 | K-FAC − Adam')[3] == '+0.1000 ± 0.0000'


def test_what_a_search_has_not_found_is_no_gain_of_searching(part, add, monkeypatch):
    found = Search('a', {'optimizer': 'kfac', 'batch_size': 2048}, {}, [
        {'values': {'lr': 0.01, 'damping': 0.001}}])
    monkeypatch.setattr(tuning.searches, 'find', lambda results: [found])
    add('kfac', 2048, 0.7)
    add('kfac', 2048, 0.7, variant='tuned', lr_decay_epoch=7)
    assert ('- K-FAC 2048 (tuned): lr_decay_epoch 7 instead of 2. That was set before the search, '
            "which found nothing better than the paper's values") in part('tuned cells')
    add('kfac', 2048, 0.7, variant='both', lr_decay_epoch=7, lr=0.01)
    assert ('- K-FAC 2048 (both): lr 0.01 instead of 0.005, lr_decay_epoch 7 instead of 2. Set '
            'before the search: lr_decay_epoch.') in part('tuned cells')


def test_where_the_learning_rate_ends_is_said(part, write_run):
    for variant, end in (('', 0.001), ('tuned', 0.5)):
        folder = write_run('kfac', 2048, root='results', variant=variant,
                           lr_decay_epoch=7 if variant else 2)
        log = json.loads((folder / 'log').read_text())
        log[0]['lr'], log[-1]['lr'] = 1.0, end
        (folder / 'log').write_text(json.dumps(log))
    assert ("The learning rate ends at 0.5 of its first value, and at 0.001 with the paper's "
            'values.') in part('tuned cells')


def test_tuned_kfac_stands_beside_sgd(part, add):
    add('momentum_sgd', 128, 0.746)
    add('kfac', 2048, 0.7)
    add('kfac', 2048, 0.76, 0.762, variant='tuned', lr=0.01)
    text = part('tuned cells')
    assert ('Tuned K-FAC at 2048 reaches 0.7610 ± 0.0014 (2 seeds, epoch chosen on test). Minus '
            "SGD at 128 with the paper's values 0.7460 (1 seed, epoch chosen on test): +0.0150 "
            '(no claim: one seed on one side); minus tuned SGD at 2048: missing.') in text
    assert '- K-FAC 2048 (tuned): lr 0.01 instead of 0.005.\n' in text
    assert 'Tuned K-FAC at 128: missing.' in text
    add('momentum_sgd', 2048, 0.7, 0.702, variant='tuned', lr=0.1)
    text = part('tuned cells')
    assert ('minus tuned SGD at 2048 0.7010 ± 0.0014 (2 seeds, epoch chosen on test): '
            '+0.0600 ± 0.0014.') in text
    assert line(text, 'K-FAC 2048 (tuned)')[5:] == ['+0.0610', '+0.0150', '+0.0600 ± 0.0014']
    assert line(text, 'Momentum SGD 2048 (tuned)')[5:] == ['–', '-0.0450', '–']


def test_only_cells_that_differ_in_the_reading_alone_are_compared(part, add):
    add('kfac', 512, 0.7)
    add('kfac', 512, 0.72, variant='other', ema_weighs='old', lr=0.5)
    assert 'yet' in part('readings of cov_ema_decay')
    add('kfac', 512, 0.75, variant='ema-old', ema_weighs='old')
    text = part('readings of cov_ema_decay')
    assert line(text, '  512') == ['512', '0.876205', '0.7000', '0.7500', '0.6375', '0.6875',
                                   '+0.0500 (no claim: one seed)', '1 and 1']
    assert 'reading' not in part('missing')


def test_what_is_missing_is_listed(part, add):
    add('momentum_sgd', 2048, 0.7, 0.7)
    add('adam', 128, 0.7)
    text = part('missing')
    assert '- Momentum SGD 2048: seed 2\n' in text
    assert 'Adam 128' not in text
    assert '- K-FAC 2048 (tuned): no finished run' in text
    assert '- a search for K-FAC 128' in text
    assert '- the study at Adam 1024' in text


def test_unfinished_and_mixed_runs_count_for_nothing(part, add, write_run):
    write_run('adam', 512, root='results', finished=False)
    add('kfac', 512, 0.5)
    write_run('kfac', 512, root='results', seed=1, lr=0.5)
    assert '- Adam 512: no finished run' in part('missing')
    assert '- K-FAC 512: no finished run' in part('missing')
    assert 'No run' in part('evidence')


def test_the_evidence_names_every_seed_and_the_largest_spread(part, add):
    add('kfac', 512, 0.5, 0.6)
    add('adam', 128, 0.7)
    text = part('evidence')
    assert line(text, 'K-FAC 512')[1:4] == ['0, 1', '0.5000, 0.6000', '0.4375, 0.5375']
    assert 'The largest sample standard deviation over seeds is 0.0707 (K-FAC 512).' in text
    assert 'Not the protocol of the paper: epochs 20 instead of 200' in text
