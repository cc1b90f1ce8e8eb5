"""All of Chainer's CPU side gives what it gave on the Python and NumPy of its time."""
import json
import math
from pathlib import Path
from types import ModuleType

import pytest

import chainer_kfac  # noqa: F401  (first: Chainer does not import without it)
from sweep.groups import GROUPS, NAMESPACES, cases

EXPECTED = json.loads(Path(__file__).with_name('expected.json').read_text())
TOLERANCE = {'f2': 2e-2, 'f4': 1e-3, 'f8': 1e-3, 'c16': 1e-3}
"""Rounding differs between processors and BLAS versions; the sums are rounded to 5 digits."""

CASES = {key: (case, dtype, outcome) for key, case, dtype, outcome in cases()}


def close(actual, expected):
    """Whether two digests agree: dtype and shape exactly, the sums up to rounding."""
    if actual is None or expected is None or actual == expected:
        return actual == expected
    (dtype, shape, *sums), (wanted_dtype, wanted_shape, *wanted) = actual.split(), expected.split()
    tolerance = TOLERANCE.get(wanted_dtype, 0)
    size = float(wanted[1])
    return (dtype, shape) == (wanted_dtype, wanted_shape) and all(
        math.isclose(float(a), float(b), rel_tol=tolerance, abs_tol=tolerance * (size + 1e-3))
        for a, b in zip(sums, wanted, strict=True))


def test_every_expected_outcome_has_a_case():
    assert CASES.keys() == EXPECTED.keys()


@pytest.mark.parametrize('key', sorted(CASES))
def test_outcome(key):
    case, dtype, outcome = CASES[key]
    actual, expected = outcome(case, dtype), EXPECTED[key]
    assert actual.keys() == expected.keys(), actual
    for part, wanted in expected.items():
        got = actual[part]
        assert isinstance(got, str) == isinstance(wanted, str), (part, got, wanted)
        if isinstance(wanted, str):
            assert got == wanted, part
        else:
            assert len(got) == len(wanted), part
            assert all(map(close, got, wanted)), (part, got, wanted)


@pytest.mark.parametrize('group', sorted(GROUPS))
def test_every_public_name_is_run_or_excused(group):
    module = GROUPS[group][0]
    excused = getattr(module, 'NOT_RUN', {})
    covered = {key.split('@')[0] for key in module.CASES} | set(excused)
    public = {name for namespace in NAMESPACES[group] for name in dir(namespace)
              if not name.startswith('_') and not isinstance(getattr(namespace, name), ModuleType)}
    assert public - covered == set()
    assert all(excused.values())
