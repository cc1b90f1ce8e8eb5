"""Which tables a benchmark makes."""
from benchmarks import main, rows, tables
from chainer_kfac.cli import main as command


def test_the_standard_tables_have_every_row_once():
    found = tables.standard()
    assert [(table.batch, table.threads) for table in found] == [
        (128, 1), (128, 2), (512, 2), (2048, 2)]
    assert found[1].names == list(rows.NAMES)
    for table in found:
        assert set(table.names) <= set(rows.NAMES)
        assert {'SGD', 'K-FAC', 'PyTorch SGD'} <= set(table.names)


def test_some_rows_of_the_standard_tables():
    assert [table.names for table in tables.standard(['SGD', 'Chainer SGD'])] == [
        ['SGD', 'Chainer SGD']] * 3 + [['SGD']]


def test_a_product_has_fewer_rounds_at_larger_batches():
    found = tables.product([64, 128, 2048], [1, 2], 20, ('SGD',))
    assert [table[:3] for table in found] == [
        (batch, threads, rounds) for threads in (1, 2)
        for batch, rounds in ((64, 20), (128, 10), (2048, 3))]


def test_what_the_command_measures(monkeypatch, capsys):
    chosen = []

    def run(found, out, *, gpu, what):
        chosen.append(found)
        return {'date': '', 'machine': {'processor': '', 'cores': 2}, 'versions': {},
                'device': '@numpy', 'steps': [], 'memory': [], 'first': None}

    monkeypatch.setattr(main, 'run', run)
    for arguments in ([], ['--rows', 'SGD'], ['--batch', '128'], ['--gpu', '--rounds', '3']):
        assert command(['bench', *arguments]) == 0
    assert chosen[0] == tables.standard()
    assert chosen[1] == tables.standard(['SGD'])
    assert chosen[2] == tables.product([128], [2], 12, rows.NAMES)
    assert chosen[3] == tables.product([128, 512, 2048], [None], 3, rows.NAMES)
