"""The documentation names only what exists, and shows only what the results say."""
import ast
import dataclasses
import importlib
import pathlib
import re
import shlex

import chainer.links as L
import numpy as np
import pytest

from chainer_kfac import cli
from chainer_kfac.analysis import rows
from chainer_kfac.sweeps import plan
from chainer_kfac.training.config import RunConfig

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / 'README.md', ROOT / 'CHANGELOG.md', *(ROOT / 'docs').glob('*.md')])
MAKEFILE = (ROOT / 'Makefile').read_text(encoding='utf-8')
EXAMPLE_FILES = {'benchmarks/cpu', 'experiments/tuned.yaml', 'jobscripts/env.sh'}
"""Files that a page tells the reader to make, and names without their ending."""

FENCED = re.compile(r'^```\w*\n(.*?)^```', re.MULTILINE | re.DOTALL)
FOLDERS = 'experiments|docs|tests|benchmarks|jobscripts|chainer_kfac'

each_page = pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)


def anchors(page):
    """The anchors that a Markdown renderer makes of a page's headings."""
    headings = re.findall(r'^#+ (.+)$', page.read_text(encoding='utf-8'), re.MULTILINE)
    return {re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-') for heading in headings}


def code(page):
    """Lines of code blocks, and inline code, without prompts and comments."""
    text = re.sub(r'\\\n\s*', '', page.read_text(encoding='utf-8'))  # continued lines
    fenced = re.findall(FENCED, text)
    text = re.sub(FENCED, '', text)
    lines = [line for block in fenced for line in block.splitlines()]
    lines += re.findall(r'^    (.+)$', text, re.MULTILINE)
    lines += [' '.join(span.split()) for span in re.findall(r'`([^`]+)`', text)]
    return [re.sub(r'\s+#.*', '', line).strip() for line in lines]


def commands(lines):
    """The words of each chainer-kfac command among some lines of code."""
    for line in lines:
        found = re.match(r'(?:\S*/)?chainer-kfac (.*)', line)
        if found and not re.match(r'(COMMAND|--help)\b', found[1]):
            yield shlex.split(found[1].removesuffix(' ...'))


@each_page
def test_links_lead_somewhere(page):
    text = re.sub(FENCED, '', page.read_text(encoding='utf-8'))
    for link in re.findall(r'\]\(([^)\s]+)\)', text):
        if re.match(r'https?://', link):
            continue
        path, _, anchor = link.partition('#')
        target = page.parent / path if path else page
        assert target.exists(), '{} links to {}'.format(page.name, link)
        if anchor:
            assert anchor in anchors(target), '{} links to {}'.format(page.name, link)


def test_every_page_is_in_the_index():
    index = (ROOT / 'docs/README.md').read_text(encoding='utf-8')
    for page in (ROOT / 'docs').glob('*.md'):
        assert page.name == 'README.md' or '({})'.format(page.name) in index, page.name


@each_page
def test_commands_are_understood(page):
    parser = cli._parser()
    names = parser._subparsers._group_actions[0].choices
    for words in commands(code(page)):
        if len(words) == 1 and words[0] in names:
            continue  # the name of a command, not a call of it
        try:
            parser.parse_args(words)
        except SystemExit:
            pytest.fail('{}: chainer-kfac {}'.format(page.name, ' '.join(words)))


@each_page
def test_make_targets_and_variables_exist(page):
    targets = set(re.findall(r'^([a-z0-9-]+):', MAKEFILE, re.MULTILINE))
    variables = set(re.findall(r'^([A-Z_]+) *[:?]?=', MAKEFILE, re.MULTILINE))
    for line in code(page):
        if not line.startswith('make ') or line == 'make TARGET':
            continue
        for word in shlex.split(line)[1:]:
            name, equals, _ = word.partition('=')
            assert name in (variables if equals else targets), '{}: {}'.format(page.name, line)


@each_page
def test_files_that_are_named_exist(page):
    text = page.read_text(encoding='utf-8')
    for span in re.findall(r'(?:{})/[\w./-]*'.format(FOLDERS), text):
        path = span.rstrip('.')
        if path not in EXAMPLE_FILES:
            assert (ROOT / path).exists(), '{} names {}'.format(page.name, path)


@each_page
def test_names_of_the_package_exist(page):
    for name in re.findall(r'`(chainer_kfac(?:\.\w+)+)', page.read_text(encoding='utf-8')):
        assert resolves(name), '{} names {}'.format(page.name, name)


def resolves(name):
    parts = name.split('.')
    for split in range(len(parts), 0, -1):
        try:
            found = importlib.import_module('.'.join(parts[:split]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[split:]:
            if not hasattr(found, attribute):
                return False
            found = getattr(found, attribute)
        return True
    return False


def test_examples_of_the_help_are_understood():
    parser = cli._parser()
    for path in sorted((ROOT / 'chainer_kfac/cli').glob('*.py')):
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                text = node.value.replace('\\\n', ' ')
                lines = [re.split(r'\s{3,}', line.strip())[0] for line in text.splitlines()
                         if line.startswith('  chainer-kfac')]
                for words in commands(lines):
                    parser.parse_args(words)


def test_the_three_lines_of_the_readme_train():
    block, = re.findall(r'^```python\n(.*?)^```', (ROOT / 'README.md').read_text(encoding='utf-8'),
                        re.MULTILINE | re.DOTALL)
    model = L.Classifier(L.Linear(4, 3))
    x, t = np.eye(4, dtype=np.float32), np.array([0, 1, 2, 0], np.int32)
    before = model.predictor.W.array.copy()
    exec(block, {'model': model, 'lossfun': model, 'x': x, 't': t})
    assert not np.array_equal(model.predictor.W.array, before)


def test_every_subcommand_target_and_flag_is_documented():
    page = (ROOT / 'docs/commands.md').read_text(encoding='utf-8')
    for name in cli.COMMANDS:
        if (ROOT / 'chainer_kfac/cli/{}.py'.format(name)).exists():
            assert '`chainer-kfac {}`'.format(name) in page
    for target in re.findall(r'^([a-z0-9-]+):.*## ', MAKEFILE, re.MULTILINE):
        assert re.search(r'\bmake {}\b'.format(target), page), target
    table1 = cli._parser()._subparsers._group_actions[0].choices['table1']
    for action in table1._actions:
        for flag in action.option_strings:
            assert flag in page or flag in ('-h', '--help')


def test_every_key_of_the_table_and_every_room_is_documented():
    page = (ROOT / 'docs/run-directory.md').read_text(encoding='utf-8')
    cell, config = plan.paper()[0]
    for key in rows.row('adam', 128, '', [], {'val_acc': cell.val_acc, 'config': config}):
        assert '`{}`'.format(key) in page, key
    page = (ROOT / 'docs/architecture.md').read_text(encoding='utf-8')
    for path in (ROOT / 'chainer_kfac').iterdir():
        if (path / '__init__.py').exists():
            assert '`{}/`'.format(path.name) in page, path.name


def test_profiles_are_documented_as_they_are():
    page = (ROOT / 'docs/protocol.md').read_text(encoding='utf-8')
    for name, profile in plan.all_profiles().items():
        line, = re.findall(r'^\| `{}` \|(.+)$'.format(name), page, re.MULTILINE)
        assert re.match(r' {}\b'.format(profile.epochs), line)
        assert ('never' in line) == (profile.stand_in is None)
        if profile.train_size:
            assert '{:,} and {:,} images'.format(profile.train_size, profile.test_size) in line


def test_hyperparameters_have_the_names_of_the_configuration():
    assert set(rows.HYPERPARAMETERS) < {field.name for field in dataclasses.fields(RunConfig)}
