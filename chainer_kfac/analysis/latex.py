"""A table of strings as LaTeX that needs no package."""

_SPECIAL = {'\\': r'\textbackslash{}', '{': r'\{', '}': r'\}', '&': r'\&', '%': r'\%', '$': r'\$',
            '#': r'\#', '_': r'\_', '~': r'\textasciitilde{}', '^': r'\textasciicircum{}',
            '<': r'$<$', '>': r'$>$', '|': r'$|$', '±': r'$\pm$', '–': '--', '−': '$-$'}


def escape(text) -> str:
    """Text with every character that LaTeX would act upon made harmless."""
    return ''.join(_SPECIAL.get(character, character) for character in ' '.join(str(text).split()))


def table(blocks, caption, label) -> str:
    r"""A ``table*`` environment to \input into a document, its blocks one below the other.

    Args:
        blocks (sequence of (str, sequence of str, sequence of sequences of str)): column types of
            a ``tabular``, header and rows; the texts are escaped here.
        caption (str): escaped here.
        label (str): for \ref.
    """
    lines = [r'\begin{table*}', r'\centering', r'\scriptsize', r'\setlength{\tabcolsep}{3pt}',
             r'\caption{%s}\label{%s}\smallskip' % (escape(caption), label)]
    for types, header, rows in blocks:
        first, *rest = [r'  {} \\'.format(' & '.join(map(escape, line)))
                        for line in [header, *rows]]
        lines += [r'\begin{tabular}{%s}' % types, r'  \hline', first, r'  \hline', *rest,
                  r'  \hline', r'\end{tabular}', r'\par\medskip']
    return '\n'.join([*lines[:-1], r'\end{table*}', ''])
