"""Spectra are those of the factors that K-FAC uses, and an interruption leaves no trace in them."""
import numpy as np
import pytest
from chainer.training.updaters import StandardUpdater
from numpy.testing import assert_allclose
from training_support import config, finish_and_keep

from chainer_kfac import training
from chainer_kfac.exceptions import ConfigError
from chainer_kfac.fisher import damping
from chainer_kfac.training import RunConfig, run_directory


def curved(**fields):
    return config('kfac', **{'curvature_epochs': [1, 3], **fields})


def spectra(directory):
    with np.load(directory / 'spectra.npz') as arrays:
        return dict(arrays)


@pytest.fixture
def final(monkeypatch):
    """The optimizer at the end of a run, once there has been one."""
    held = {}
    update = StandardUpdater.update

    def look(self):
        held['optimizer'] = self.get_optimizer('main')
        update(self)
    monkeypatch.setattr(StandardUpdater, 'update', look)
    return held


def test_what_is_written(tmp_path, final):
    training.run(curved(weight_decay=0.2), tmp_path)
    found = spectra(tmp_path)
    assert found['epoch'].tolist() == [1, 3]
    assert found['iteration'].tolist() == [7, 19]
    blocks = final['optimizer'].blocks
    assert {name for name in found if name.startswith('A')} == {'A' + b.name for b in blocks}
    assert len(found) == 2 + 4 * len(blocks)
    for block in blocks:
        for kind, matrix in (('A', block.A), ('G', block.G)):
            values = found[kind + block.name]
            assert values.shape == (2, 1, len(matrix))
            expected = np.linalg.eigvalsh(matrix.astype(np.float64))
            assert_allclose(values[1, 0], expected, atol=1e-5 * expected[-1])
        assert_allclose(found['pi' + block.name][1, 0], damping.pi_of(block.A, block.G), rtol=1e-4)
        assert found['damping' + block.name].tolist() == [0.2, 0.2]  # weight decay is the larger


def test_an_interrupted_run_leaves_the_same_file(tmp_path, monkeypatch):
    training.run(curved(curvature_epochs=[1, 2, 3]), tmp_path / 'whole')
    update = StandardUpdater.update

    def crash_late(self):
        update(self)
        if self.iteration == 16:
            raise InterruptedError
    monkeypatch.setattr(run_directory.RunDirectory, 'finish', finish_and_keep)
    monkeypatch.setattr(StandardUpdater, 'update', crash_late)
    with pytest.raises(InterruptedError):
        training.run(curved(curvature_epochs=[1, 2, 3]), tmp_path / 'cut')
    assert spectra(tmp_path / 'cut')['epoch'].tolist() == [1, 2]
    newest, *_ = run_directory.RunDirectory(tmp_path / 'cut').snapshots()
    newest.unlink()  # as if killed between the file and the snapshot: epoch 2 comes again
    monkeypatch.setattr(StandardUpdater, 'update', update)
    training.run(curved(curvature_epochs=[1, 2, 3]), tmp_path / 'cut')
    files = [(tmp_path / name / 'spectra.npz').read_bytes() for name in ('whole', 'cut')]
    assert files[0] == files[1]
    assert not list((tmp_path / 'cut').glob('.spectra*'))


def test_it_does_not_change_the_run(tmp_path):
    logs = []
    for name, fields in (('with', {}), ('without', {'curvature_epochs': None})):
        training.run(curved(**fields), tmp_path / name)
        logs.append((tmp_path / name / 'log').read_text())
    assert not (tmp_path / 'without/spectra.npz').exists()
    accuracy = [[line for line in log.splitlines() if 'loss' in line] for log in logs]
    assert accuracy[0] == accuracy[1]


def test_force_begins_anew(tmp_path):
    training.run(curved(), tmp_path)
    training.run(curved(curvature_epochs=[2]), tmp_path, force=True)
    assert spectra(tmp_path)['epoch'].tolist() == [2]


def test_epochs_of_a_command_line_and_of_a_file(tmp_path):
    run = RunConfig.parse(curved().dump(), ['curvature_epochs=[3, 1, 3]'])
    assert run.curvature_epochs == (1, 3)
    assert RunConfig.parse(run.dump(), ['curvature_epochs=2']).curvature_epochs == (2,)


@pytest.mark.parametrize('value, sentence', [
    ('[0]', 'a list of whole numbers from 1'), ('[]', 'a list'), ('[1.5]', 'a list'),
    ('[4]', 'beyond epochs 3, got 4')])
def test_epochs_that_cannot_be(value, sentence):
    with pytest.raises(ConfigError, match='curvature_epochs.*' + sentence):
        RunConfig.parse(curved().dump(), ['curvature_epochs=' + value])


def test_only_kfac_has_factors():
    with pytest.raises(ConfigError, match='curvature_epochs belongs to kfac'):
        config('adam', curvature_epochs=[1])
