"""The account of the reproduction: the parts of ``docs/reproduction.md`` that hold numbers.

Each claim of the paper has a part of its own, made from the committed results alone. A difference
of means over seeds is called a finding from three standard errors on, and never with one seed.
"""
from chainer_kfac.analysis.account import batches, evidence, missing, optimizers, summary, tuning

PARTS = {
    'claims': summary.body,
    'evidence': evidence.body,
    'order of optimizers': optimizers.order,
    'large batches, convergence': batches.convergence,
    'large batches, final accuracy': batches.final,
    'overfitting': optimizers.overfitting,
    'tuned cells': tuning.cells_body,
    'searches': tuning.searches_body,
    'readings of cov_ema_decay': tuning.readings,
    'missing': missing.body,
}
"""Name of a part -> what makes it from the root of the committed results."""
