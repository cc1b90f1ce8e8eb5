#!/usr/bin/env python3
"""Prove and time the GPU path in a few minutes: ``benchmarks/gpu_check.py --help``.

Needs Python 3.11 or later and this checkout; everything else may come from a folder of wheels.
"""
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks.gpu.command import main  # noqa: E402  (found through the line above)

if __name__ == '__main__':
    sys.exit(main())
