"""What is measured in a process of its own: ``python -m benchmarks.child WHAT ...``.

``steps BATCH ROUNDS DEVICE NAME...`` times steps in turns, ``memory BATCH NAME`` gives the peak
memory of the process after three steps, ``first BATCH`` the seconds until its first step is done.
The result is one line of JSON on standard output.
"""
import json
import sys
import time

START = time.perf_counter()


def steps(size: str, rounds: str, device: str, *names: str) -> list:
    """Summary of `benchmarks.measure`."""
    from benchmarks import measure, rows
    return measure.summary(measure.run(rows.build(names, int(size), device), int(rounds)))


def memory(size: str, name: str) -> float | None:
    """Peak resident memory in MB, None where the row cannot be built."""
    import resource

    from benchmarks import rows
    for row in rows.build([name], int(size)):
        for _ in range(3):
            for _, step in row.parts:
                step()
        unit = 1024 if sys.platform == 'darwin' else 1
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit / 1024
    return None


def first(size: str) -> dict:
    """Seconds for imports, and from then on for a model, the kernels and one step."""
    from benchmarks import rows
    imported = time.perf_counter()
    row, = rows.build(['SGD'], int(size))
    row.parts[0][1]()
    done = time.perf_counter()
    return {'imports': imported - START, 'first_step': done - imported}


if __name__ == '__main__':
    what, *arguments = sys.argv[1:]
    print(json.dumps({'steps': steps, 'memory': memory, 'first': first}[what](*arguments)))
