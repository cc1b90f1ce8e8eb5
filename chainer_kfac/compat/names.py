"""The names of CuPy that Python source uses, found in its syntax tree.

A chain such as ``cuda.cupy.random.seed`` counts as ``cupy.random.seed`` where ``cuda`` is
``chainer.backends.cuda``, and also where it hides behind an assignment (``lib = cuda.cupy``) or
an import (``from cupy.cuda import nccl``). ``xp.exp``, ``self.xp.exp`` and the like, where ``xp``
is NumPy or CuPy depending on the array, count as ``cupy.exp``, and so does
``get_array_module(x).exp``. What ``require('cupy.cublas', ...)`` returns is known as well.
"""
import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

_CUDA = ('chainer.backends.cuda', 'chainer.cuda')
# What chainer.backends.cuda calls by a name of its own.
_REEXPORTED = {
    'cupy': 'cupy', 'cupyx': 'cupyx', 'cuda': 'cupy.cuda', 'cublas': 'cupy.cuda.cublas',
    'cudnn': 'cupy.cudnn', 'libcudnn': 'cupy.cuda.cudnn', 'ndarray': 'cupy.ndarray',
    'Device': 'cupy.cuda.Device', 'Event': 'cupy.cuda.Event', 'Stream': 'cupy.cuda.Stream',
    'cusolver': 'cupy.cuda.cusolver', 'cusparse': 'cupy.cuda.cusparse',
}
_ROOTS = ('cupy', 'cupyx', 'cupy_backends')


def python_files(folder: Path) -> Iterator[Path]:
    """The Python files below ``folder``, in order."""
    return iter(sorted(folder.rglob('*.py')))


def used_in(source: str) -> dict[str, list[int]]:
    """The names of CuPy used in one file.

    Args:
        source (str): the text of the file.
    Returns:
        dict: full name (``'cupy.cuda.Device'``) -> the lines that use it.
    """
    finder = _Finder()
    tree = ast.parse(source)
    for _ in range(2):                        # an alias may be used above its assignment
        finder.uses.clear()
        finder.visit(tree)
    return dict(finder.uses)


class _Finder(ast.NodeVisitor):

    def __init__(self):
        self.uses = defaultdict(list)
        self._alias = {'xp': 'cupy', 'cuda': 'chainer.backends.cuda'}

    def visit_Import(self, node):
        for item in node.names:
            if item.asname:
                self._alias[item.asname] = item.name
            else:
                top = item.name.partition('.')[0]
                self._alias[top] = top
            self._use(item.name, node)

    def visit_ImportFrom(self, node):
        for item in node.names:
            name = '{}.{}'.format(node.module, item.name)
            self._alias[item.asname or item.name] = name
            self._use(name, node)

    def visit_Assign(self, node):
        self.generic_visit(node)
        name = self._full(node.value)
        for target in node.targets:
            if isinstance(target, ast.Name) and _cupy(name) and target.id != 'xp':
                self._alias[target.id] = name

    def visit_Attribute(self, node):
        name = self._full(node)
        if _cupy(name):
            self._use(name, node)
        else:
            self.generic_visit(node)

    def _full(self, node):
        """The dotted name of an expression with its aliases resolved, or ''."""
        parts = []
        while isinstance(node, ast.Attribute):
            if node.attr == 'xp' and parts:
                return '.'.join(['cupy', *reversed(parts)])
            parts.append(node.attr)
            node = node.value
        if isinstance(node, ast.Call) and parts and _called(node).endswith('get_array_module'):
            return '.'.join(['cupy', *reversed(parts)])
        if isinstance(node, ast.Call) and _called(node) == 'require' and node.args:
            return '.'.join([str(getattr(node.args[0], 'value', '')), *reversed(parts)])
        if not isinstance(node, ast.Name):
            return ''
        return '.'.join([self._alias.get(node.id, node.id), *reversed(parts)])

    def _use(self, name, node):
        name = _cupy(name)
        if name and name not in _ROOTS:
            self.uses[name].append(node.lineno)


def _called(node):
    return getattr(node.func, 'attr', getattr(node.func, 'id', ''))


def _cupy(name):
    """The name as CuPy has it, or '' if it is none of CuPy's."""
    for cuda in _CUDA:
        if name.startswith(cuda + '.'):
            first, _, rest = name[len(cuda) + 1:].partition('.')
            if first not in _REEXPORTED:
                return ''
            name = _REEXPORTED[first] + ('.' + rest if rest else '')
    return name if name.partition('.')[0] in _ROOTS else ''
