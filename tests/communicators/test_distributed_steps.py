"""Any number of ranks changes the parameters as one process does."""
import json

import pytest

pytestmark = pytest.mark.mpi


@pytest.mark.parametrize('size', [1, 2, 3, 4])
def test_ranks_do_not_change_the_result(changes, ranks, size):
    import cases
    ranks(size, 'equal_steps.py', changes)
    differences = json.loads((changes / '{}.json'.format(size)).read_text())
    wrong = {name: difference for name, difference in differences.items()
             if not difference <= (0 if size == 1 else cases.CASES[name]['tolerance'])}
    assert not wrong
    assert set(differences) == set(cases.CASES)
