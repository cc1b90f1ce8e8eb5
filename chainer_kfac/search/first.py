"""The first trial of a search: the paper's own values."""
import math

from chainer_kfac import resources
from chainer_kfac.search.space import Space
from chainer_kfac.sweeps import cells


def of_paper(optimizer: str, batch_size: int, space: Space) -> tuple[dict[str, float], str] | None:
    """The row of Table 1 for an optimizer, of the batch size that is nearest by ratio.

    Returns:
        (dict, str) or None: a value for each hyperparameter of the space, and what it is; None if
            Table 1 lacks one of them or has it outside the bounds.
    """
    rows = [cell for cell in cells.load(resources.find('experiments/table1.yaml'))
            if cell.optimizer == optimizer]
    if not rows:
        return None
    row = min(rows, key=lambda cell: abs(math.log(cell.batch_size / batch_size)))
    values = {name: row.settings.get(name) for name in space.names}
    if space.complaint(values) is not None:
        return None
    return values, 'paper-bs{}'.format(row.batch_size)
