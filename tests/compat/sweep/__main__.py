"""Write the expected outcomes: ``python -m sweep > expected.json`` in this folder's parent.

To be run where Chainer 7.8.1 needs no help. ``expected.json`` was written on Python 3.8 with
NumPy 1.19.5, SciPy 1.6.3, protobuf 3.20, h5py 3.11, Pillow and Matplotlib 3.3.
"""
import json
import sys

from sweep.groups import cases


def main():
    out, sys.stdout = sys.stdout, sys.stderr          # Chainer's static graph prints
    lines = ['{}: {}'.format(json.dumps(key), json.dumps(outcome(case, dtype), sort_keys=True,
                                                         separators=(',', ':')))
             for key, case, dtype, outcome in cases()]
    out.write('{\n' + ',\n'.join(lines) + '\n}\n')


if __name__ == '__main__':
    main()
