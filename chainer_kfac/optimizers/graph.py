"""Is everything that a loss does with a layer's parameters seen by the layer's Fisher block?

If so, the gradient of the weight is that of the recorded rows and need not be formed. If not - a
weight in a penalty, a second derivative, a function that the block does not know - it has parts
that the rows do not know of.
"""
from collections.abc import Iterable

import chainer
from chainer.functions.util.forget import Forget

from chainer_kfac.fisher import FisherBlock


def seen_entirely(loss: chainer.Variable, blocks: Iterable[FisherBlock]) -> set[FisherBlock]:
    """Those of ``blocks`` whose parameters occur in the graph of ``loss`` in recorded calls only.

    None, if the graph hides a part of itself in `chainer.functions.forget`.
    """
    owners = {id(param): block for block in blocks for param in block.params}
    entire = set(owners.values())
    for function in functions_of(loss):
        if isinstance(function, Forget):
            return set()
        for index, node in enumerate(function.inputs):
            block = owners.get(id(node.get_variable_or_none()))
            if block is not None and not block.knows(function, index):
                entire.discard(block)
    return entire


def functions_of(loss: chainer.Variable) -> list[chainer.FunctionNode]:
    """Every function node that ``loss`` was made by."""
    found = []
    waiting = [loss.creator_node]
    seen = {None}
    while waiting:
        function = waiting.pop()
        if function in seen:
            continue
        seen.add(function)
        found.append(function)
        waiting += [node.creator_node for node in function.inputs]
    return found
