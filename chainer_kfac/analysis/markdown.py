"""A table of strings as Markdown."""
import re


def escape(text) -> str:
    """Text that stays inside its cell and is not taken for markup.

    An underscore inside a word, as in ``train_size``, is no markup and stays as it is.
    """
    text = re.sub(r'[\\|*<>`\[\]]', r'\\\g<0>', ' '.join(str(text).split()))
    return re.sub(r'(?<![^\W_])_|_(?![^\W_])', r'\\_', text)


def table(header, rows, right=()) -> str:
    """A Markdown table, its columns padded so that the source reads as a table too.

    Args:
        header (sequence of str): column names.
        rows (sequence of sequences of str): cells, not yet escaped.
        right (collection of int): columns that are aligned to the right.
    """
    cells = [[escape(cell) for cell in line] for line in [header, *rows]]
    widths = [max(3, *(len(line[i]) for line in cells)) for i in range(len(header))]
    rule = ['-' * (width - 1) + ':' if i in right else '-' * width
            for i, width in enumerate(widths)]
    lines = [[cell.rjust(width) if i in right else cell.ljust(width)
              for i, (cell, width) in enumerate(zip(line, widths, strict=True))] for line in cells]
    return '\n'.join('| {} |'.format(' | '.join(line)) for line in [lines[0], rule, *lines[1:]])
