"""Spectra as tables and figures: against numbers worked out by hand."""
import numpy as np
import pytest

from chainer_kfac.analysis import curvature, curvature_figures, drawing
from chainer_kfac.exceptions import RunDirectoryError

A = np.array([[[0.0, 1.0, 3.0]], [[0.0, 2.0, 6.0]]], np.float32)  # (epochs, groups, dim)
G = np.array([[[0.5, 1.5]], [[0.01, 0.01]]], np.float32)
PI = np.array([[2.0], [4.0]])


@pytest.fixture
def spectra(write_run, tmp_path):
    for variant in ('', 'ema-old'):
        directory = write_run('kfac', 128, variant=variant, curvature_epochs=[1, 3], result={
            'dataset': {'label': 'some images', 'train_size': 4096, 'digest': 'x'}})
        np.savez(directory / 'spectra.npz', **{
            'epoch': np.array([1, 3]), 'iteration': np.array([391, 1172]), 'A/net/fc': A,
            'G/net/fc': G, 'pi/net/fc': PI, 'damping/net/fc': np.array([0.04, 0.04])})
    return curvature.find(tmp_path / 'runs')


def test_factors(spectra):
    first, second = spectra
    assert first.blocks == ['/net/fc']
    a, g = first.factors(3)
    assert (a.kind, a.dim, a.rank, a.mean) == ('A', 3, 2, pytest.approx(8 / 3))
    assert a.term[0, 0] == pytest.approx(4 * 0.2)
    assert g.term[0, 0] == pytest.approx(0.2 / 4)
    assert a.above_damping == pytest.approx(2 / 3)
    assert g.above_damping == 0
    assert a.relative == pytest.approx([7.5, 2.5, 0])


def test_table(spectra):
    last = curvature.table(spectra[0], 1).splitlines()[-1]
    assert [cell.strip() for cell in last.strip('|').split('|')] == [
        'fc', 'G', '2', '2', '1.5', '1', '2', '0.1', '100.0%']


def test_pi_makes_the_relative_damping_equal(spectra):
    A_alone, G_alone, both = curvature_figures.relative_damping(spectra[0], '/net/fc', 1)
    assert A_alone == pytest.approx(0.2 / (4 / 3))
    assert G_alone == pytest.approx(0.2)
    assert both == pytest.approx((A_alone * G_alone) ** 0.5)
    split = (A_alone / G_alone) ** -0.5  # pi by its definition
    assert A_alone * split == pytest.approx(both)
    assert G_alone / split == pytest.approx(both)


def test_figures(spectra):
    with drawing.style():
        page = curvature_figures.spectra(spectra, 3)
        curve = page.axes[0].lines[0]
        assert curve.get_ydata() == pytest.approx([7.5, 2.5, 1e-6])
        assert page.axes[0].get_title() == 'cov_ema_decay 0.99 weighs the new factors'
        assert 'some images, 4,096 images' in ' '.join(text.get_text() for text in page.texts)
        for figure in (page, curvature_figures.shares(spectra[0], 1)):
            assert drawing.render(figure)['.png'][:4] == b'\x89PNG'


def test_epochs_and_runs_without_spectra(spectra, write_run):
    with pytest.raises(RunDirectoryError, match='after epoch 1, 3 and none after 2'):
        spectra[0].factors(2)
    with pytest.raises(RunDirectoryError, match=r'no spectra.npz: train it with curvature_epochs'):
        curvature.read(write_run('kfac', 512))
