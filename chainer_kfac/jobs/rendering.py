"""From a description and a dialect to the script of a job: ``template.sh`` with its gaps filled."""
import pathlib
import shlex
import textwrap

from chainer_kfac.jobs.description import JobDescription
from chainer_kfac.jobs.dialects.base import Dialect, fill

WIDTH = 100
_INDENT = ' ' * 4
_TEMPLATE = pathlib.Path(__file__).with_name('template.sh')

_ENVIRONMENT = """\
# Modules, virtual environment, addresses. They may read variables that are not set.
[ -f @env@ ] || fail @noenv@
trap 'fail "$(basename "${BASH_SOURCE[0]}"), line $LINENO: $BASH_COMMAND"' ERR
set +u
# shellcheck source=/dev/null
source @env@
set -u
trap - ERR"""

_STAGE = """\
# The images on the nodes' own disks: a copy for this job, removed at its end.
images=pfnet/chainer/cifar
shared=${CHAINER_DATASET_ROOT:-$HOME/.chainer/dataset}
scratch=${KFAC_SCRATCH:-${TMPDIR:-/tmp}}/kfac-${job//[^0-9A-Za-z]/-}
if [ -d "$shared/$images" ]; then
    # shellcheck disable=SC2016
    if "${each_node[@]}" bash -c 'mkdir -p "$2" && cp -R "$1" "$2"' copy \\
            "$shared/$images" "$scratch/${images%/*}"; then
        export CHAINER_DATASET_ROOT=$scratch
    else
        echo "no copy of the images in $scratch: they are read from $shared" >&2
    fi
fi"""

_TIMER = """\
# No warning of this scheduler can be relied on, so the script gives it to itself,
# @warning@ s before the walltime above.
( while [ "$SECONDS" -lt @seconds@ ]; do sleep 5; done; kill -USR1 $$ ) >/dev/null 2>&1 &
timer=$!"""


def render(job: JobDescription, dialect: Dialect) -> str:
    """The script: what the scheduler's command for submitting takes as it is.

    Args:
        job (JobDescription): what to run.
        dialect (Dialect): for which scheduler.
    """
    return fill(_TEMPLATE.read_text(encoding='utf-8') + '\n', {
        'about': textwrap.indent(job.about, '# '),
        'directives': '\n'.join('{} {}'.format(dialect.prefix, option)
                                for option in (*dialect.options(job), *job.directives)),
        'name': job.name,
        'identity': dialect.identity(job),
        'clean': _clean(job, dialect),
        'environment': _environment(job, dialect),
        'nocommand': shlex.quote('no chainer-kfac on the PATH: activate its virtual environment in '
                                 + (job.env or 'a file for --env')),
        'hosts': dialect.hosts(job) if job.trains else None,
        'stage': _STAGE if job.trains else None,
        'launch': dialect.launch(job) if job.trains else None,
        'timer': _timer(job) if dialect.needs_timer else None,
        'tasks': _tasks(job),
        'command': _command(job),
        'finished': '[ "$code" -eq 1 ] || [ "$code" -eq 2 ]' if job.endless
                    else '[ "$code" -le 2 ]',
        'again': dialect.again(job),
    })


def _environment(job, dialect):
    parts = ['cd {}'.format(shlex.quote(job.workdir) if job.workdir else dialect.workdir)]
    if job.path:
        parts.append('export PATH={}:"$PATH"'.format(shlex.quote(job.path)))
    if job.env:
        parts.append(fill(_ENVIRONMENT, {
            'env': shlex.quote(job.env),
            'noenv': shlex.quote('no {0}: copy env.sh.example to it and edit it'.format(job.env)),
        }))
    return '\n'.join(parts)


def _clean(job, dialect):
    lines = []
    if dialect.needs_timer:
        lines.append('[ -z "${timer:-}" ] || kill "$timer" 2>/dev/null || true')
    if job.trains:
        lines.append('[ -z "${scratch:-}" ] || "${each_node[@]}" rm -rf "$scratch" || true')
    return textwrap.indent('\n'.join(lines), _INDENT) or None


def _timer(job):
    return fill(_TIMER, {'seconds': str(job.walltime - job.warning),
                         'warning': str(job.warning)})


def _tasks(job):
    """The further words of each task, as an array of the shell."""
    if not job.has_arguments:
        return None
    lines = ['    {}) arguments=({}) ;;'.format(number, ' '.join(words))
             for number, words in enumerate(job.tasks, 1)]
    lines.append('    *) fail "there is no task $task" ;;')
    return textwrap.indent('\n'.join(['case $task in', *lines, 'esac']), _INDENT)


def _command(job):
    words = ['exec', *(['"${launch[@]}"'] if job.trains else []), *job.command]
    words += ['"${arguments[@]}"'] if job.has_arguments else job.tasks[0]
    lines = [_INDENT + words[0]]
    for each in _with_values(words[1:]):
        if len(lines[-1]) + len(each) + 3 > WIDTH:
            lines[-1] += ' \\'
            lines.append(2 * _INDENT + each)
        else:
            lines[-1] += ' ' + each
    return '\n'.join(lines)


def _with_values(words):
    """Words, an option and its first value as one."""
    pairs = []
    for word in words:
        if pairs and pairs[-1].startswith('--') and ' ' not in pairs[-1]:
            pairs[-1] += ' ' + word
        else:
            pairs.append(word)
    return pairs
