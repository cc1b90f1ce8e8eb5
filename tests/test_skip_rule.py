"""``--no-skips-but-gpu`` lets a run pass only if every skip is for want of a GPU."""
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).with_name('conftest.py')


@pytest.mark.parametrize(('body', 'code'), [
    ('def test(): pass', 0),
    ('@pytest.mark.skipif(True, reason="no GPU: 2 are needed, 0 found")\ndef test(): pass', 0),
    ('def test(): pytest.skip("the weather")', 1),
    ('pytest.importorskip("no_such_module")', 1),
    ('@pytest.mark.xfail\ndef test(): assert False', 0),
    ('def test(): assert False', 1),
])
def test_exit_code(tmp_path, body, code):
    shutil.copy(CONFTEST, tmp_path)
    (tmp_path / 'pytest.ini').write_text('[pytest]\nmarkers =\n    gpu\n    mpi\n    mongo\n')
    (tmp_path / 'test_skip.py').write_text('import pytest\n{}\n'.format(body))
    (tmp_path / 'test_other.py').write_text('def test_other(): pass\n')
    result = subprocess.run(
        [sys.executable, '-m', 'pytest', '-q', '-p', 'no:cacheprovider', '--no-skips-but-gpu'],
        cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == code, result.stdout
