"""Spectra of K-FAC's factors, as a run has left them in ``spectra.npz``."""
import dataclasses
import pathlib

import numpy as np

from chainer_kfac.analysis import markdown, runs
from chainer_kfac.analysis.runs import Run
from chainer_kfac.exceptions import RunDirectoryError
from chainer_kfac.fisher import damping
from chainer_kfac.training.run_directory import SPECTRA


@dataclasses.dataclass(frozen=True)
class Factor:
    """One Kronecker factor of one layer after one epoch.

    Attributes:
        block (str): name of the layer in the model.
        kind (str): 'A' or 'G'.
        values (array, (groups, dim)): eigenvalues of the running average, ascending, undamped.
        term (array, (groups, 1)): what damping adds to each of them: pi sqrt(damping) for A and
            sqrt(damping) / pi for G.
    """

    block: str
    kind: str
    values: np.ndarray
    term: np.ndarray

    @property
    def dim(self) -> int:
        return self.values.shape[1]

    @property
    def mean(self) -> float:
        """Mean eigenvalue: the trace over the dimension."""
        return float(self.values.mean(dtype=np.float64))

    @property
    def rank(self) -> int:
        """Eigenvalues above the rounding of a dense matrix, dim times epsilon times the largest."""
        noise = self.dim * np.finfo(self.values.dtype).eps * self.values.max(axis=1, keepdims=True)
        return int((self.values > noise).sum(axis=1).max())

    @property
    def above_damping(self) -> float:
        """Share of the eigenvalues that are larger than the damping term."""
        return float((self.values > self.term).mean())

    @property
    def relative(self) -> np.ndarray:
        """Eigenvalues in units of the damping term, largest first, of all groups together."""
        return np.sort((self.values / self.term).ravel())[::-1]


@dataclasses.dataclass(frozen=True)
class Spectra:
    """What one run has left.

    Attributes:
        run (Run): the run.
        arrays (dict): of ``spectra.npz``; docs/run-directory.md lists them.
    """

    run: Run
    arrays: dict

    @property
    def epochs(self) -> list[int]:
        return self.arrays['epoch'].tolist()

    @property
    def blocks(self) -> list[str]:
        """Names of the layers, in the order of the model."""
        return [name[1:] for name in self.arrays if name.startswith('A')]

    def pi(self, block: str, epoch: int) -> np.ndarray:
        """The pi of a layer after an epoch, (groups,)."""
        return self.arrays['pi' + block][self._place(epoch)]

    def damping(self, block: str, epoch: int) -> float:
        """What the layer is damped with: the larger of damping and weight decay."""
        return float(self.arrays['damping' + block][self._place(epoch)])

    def factors(self, epoch: int) -> list[Factor]:
        """A and G of every layer after an epoch."""
        found = []
        for block in self.blocks:
            terms = damping.terms(self.damping(block, epoch), self.pi(block, epoch)[:, None])
            found += [Factor(block, kind, self.arrays[kind + block][self._place(epoch)], term)
                      for kind, term in zip('AG', terms, strict=True)]
        return found

    def _place(self, epoch):
        if epoch not in self.epochs:
            raise RunDirectoryError('{} has spectra after epoch {} and none after {}'.format(
                self.run.directory, ', '.join(map(str, self.epochs)), epoch))
        return self.epochs.index(epoch)


def read(directory) -> Spectra:
    """The spectra of one run.

    Raises:
        RunDirectoryError: if it is no run directory or has none.
    """
    path = pathlib.Path(directory, SPECTRA)
    if not path.exists():
        raise RunDirectoryError('{} has no {}: train it with curvature_epochs=[1,2], say'.format(
            directory, SPECTRA))
    with np.load(path) as arrays:
        return Spectra(runs.read(directory), dict(arrays))


def find(root) -> list[Spectra]:
    """The spectra of all runs below a folder, sorted by path."""
    return [read(path.parent) for path in sorted(pathlib.Path(root).rglob(SPECTRA))]


def table(spectra: Spectra, epoch: int) -> str:
    """Both factors of every layer after an epoch, as Markdown."""
    lines = [[factor.block.rpartition('/')[2], factor.kind, factor.dim, factor.rank,
              '{:.3g}'.format(factor.values.max()), '{:.3g}'.format(factor.mean),
              '{:.3g}'.format(spectra.pi(factor.block, epoch).mean()),
              '{:.3g}'.format(factor.term.mean()), '{:.1%}'.format(factor.above_damping)]
             for factor in spectra.factors(epoch)]
    return markdown.table(
        ['Layer', 'Factor', 'Dimension', 'Above rounding', 'Largest eigenvalue',
         'Mean eigenvalue', 'pi', 'Damping term', 'Above it'], lines, right=range(2, 9))
