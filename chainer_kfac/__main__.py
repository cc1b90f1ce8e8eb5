"""``python -m chainer_kfac`` is the command ``chainer-kfac``."""
import sys

from chainer_kfac.cli import main

if __name__ == '__main__':
    sys.exit(main())
