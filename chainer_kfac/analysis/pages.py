"""The parts of pages that show the committed results: written here, never by hand.

A page is a Markdown file of the repository; such a part stands between two marks that name it.
"""
import pathlib
from collections.abc import Callable, Mapping

from chainer_kfac.analysis import account, front_page

PARTS: Mapping[str, Mapping[str, Callable[[pathlib.Path], str]]] = {
    'README.md': {'results': front_page.body},
    'docs/reproduction.md': account.PARTS,
}
"""Page -> name of a part -> what makes it from the root of the committed results."""


def marks(name: str) -> tuple[str, str]:
    """The lines before and after a part."""
    return ('<!-- {}: written by "chainer-kfac promote", not by hand -->'.format(name),
            '<!-- end of {} -->'.format(name))


def written(page: str, text: str, results) -> str:
    """The text of a page with its parts made anew; a part whose marks are missing is left out.

    Args:
        page (str): a key of ``PARTS``.
        text (str): what the page says now.
        results (path): root of the committed results.
    """
    for name, make in PARTS[page].items():
        begin, end = marks(name)
        if begin in text and end in text:
            before, _, rest = text.partition(begin)
            body = make(pathlib.Path(results))
            text = before + '\n\n'.join([begin, body, end]) + rest.partition(end)[2]
    return text


def update(results) -> list[str]:
    """Write all pages of the repository that ``results`` lies in; returns those that changed.

    A page that is not there is left alone.
    """
    changed = []
    for page in PARTS:
        path = pathlib.Path(results).resolve().parent / page
        if not path.exists():
            continue
        old = path.read_text(encoding='utf-8')
        new = written(page, old, results)
        if new != old:
            path.write_text(new, encoding='utf-8')
            changed.append(page)
    return changed
