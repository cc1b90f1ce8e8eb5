"""One step in a process of its own: ``python -m benchmarks.gpu.child NAME OPTIONS RESULT``.

OPTIONS is a file of JSON (`benchmarks.gpu.command.options`), RESULT the file that takes what the
step found, also as JSON.
"""
import importlib
import json
import logging
import sys
from pathlib import Path


def main(name: str, options: str, result: str) -> None:
    """Run the module of a step; ``times-512`` is ``run(options, 512)`` of `times`."""
    logging.basicConfig(level=logging.INFO, format='%(message)s')
    module, _, batch = name.partition('-')
    step = importlib.import_module('benchmarks.gpu.' + module)
    given = json.loads(Path(options).read_text(encoding='utf-8'))
    found = step.run(given, *([int(batch)] if batch else []))
    Path(result).write_text(json.dumps(found), encoding='utf-8')


if __name__ == '__main__':
    main(*sys.argv[1:])
