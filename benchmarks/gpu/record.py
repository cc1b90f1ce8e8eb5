"""The report on disk: written anew after every step, so that nothing is lost that was measured."""
import hashlib
import json
import os
import re
from pathlib import Path

from benchmarks.gpu import page
from benchmarks.gpu.steps import NAMES

FORMAT = 1
_FOLDERS = re.compile(r'(?<![\w.:])/(?:[\w.+@-]+/)+')
ROOT = Path(__file__).resolve().parents[2]


class Record:
    """``report.json`` and ``report.md`` in a folder.

    Entries of an earlier call stay in it as long as card, code and packages are the same.

    Args:
        folder (path): where they are written.
        identity (dict): what must agree for earlier entries to stay: 'card', 'code', 'versions',
            'dry_run'.
    """

    def __init__(self, folder: Path, identity: dict):
        self.folder = folder
        self._identity = identity
        self._entries = {}
        earlier = folder / 'report.json'
        if earlier.exists():
            report = json.loads(earlier.read_text(encoding='utf-8'))
            if all(report.get(key) == value for key, value in identity.items()):
                self._entries = {entry['name']: entry for entry in report['steps']}

    def is_done(self, name: str) -> bool:
        """Whether the step succeeded, in this call or an earlier one."""
        return self._entries.get(name, {}).get('state') == 'done'

    def add(self, entry: dict) -> None:
        """Take in the entry of a step and write both files.

        What a step had found stays, marked as earlier, where it was not even begun this time.
        """
        held = self._entries.get(entry['name'])
        if not (held and held['state'] != 'skipped' and entry['state'] == 'skipped'):
            self._entries[entry['name']] = entry
        self.write()

    def report(self) -> dict:
        """Everything so far."""
        return {'format': FORMAT, **self._identity,
                'steps': sorted(self._entries.values(), key=lambda e: NAMES.index(e['name']))}

    def write(self) -> None:
        """Write ``report.json`` and ``report.md``, each whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        report = without_folders(self.report())
        _replace(self.folder / 'report.json', json.dumps(report, indent=1) + '\n')
        _replace(self.folder / 'report.md', page.markdown(report))


def code_digest() -> str:
    """Digest of the source that is measured, so that a report cannot speak of another one."""
    digest = hashlib.sha256()
    for folder in ('chainer_kfac', 'benchmarks', 'experiments'):
        for path in sorted((ROOT / folder).rglob('*')):
            if path.suffix in ('.py', '.yaml'):
                digest.update(path.relative_to(ROOT).as_posix().encode() + b'\0')
                digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def without_folders(content):
    """The same with the absolute paths in its texts cut down to the last name."""
    if isinstance(content, str):
        return _FOLDERS.sub('', content)
    if isinstance(content, dict):
        return {key: without_folders(value) for key, value in content.items()}
    return [without_folders(each) for each in content] if isinstance(content, list) else content


def _replace(path, text):
    part = path.with_name(path.name + '.part')
    part.write_text(text, encoding='utf-8')
    os.replace(part, path)
