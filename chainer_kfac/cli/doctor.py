"""``chainer-kfac doctor``: what this machine can do, and what to do about what is missing."""
import argparse
import textwrap

EXAMPLE = """\
example:
  chainer-kfac doctor

"missing" is what may be done without; "broken" is what should work here and does not, and makes
the exit code 2.
"""


def add_parser(subparsers):
    subparsers.add_parser(
        'doctor', help='say what this machine can do',
        description='Look at Chainer, NumPy, BLAS, GPU, MPI, MongoDB, schedulers and data sets.',
        epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter)


def run(args):
    from chainer_kfac.cli import machine

    findings = [check() for check in machine.CHECKS]
    for finding in findings:
        print(describe(finding))
    return 2 if any(finding.state == 'broken' for finding in findings) else 0


def describe(finding, width=100):
    """The finding as lines: state, topic and text, and below it the remedy."""
    head = '{:<8} {:<10} '.format(finding.state, finding.topic)
    lines = textwrap.wrap(finding.text, width, initial_indent=head,
                          subsequent_indent=' ' * len(head))
    if finding.remedy:
        lines += textwrap.wrap('-> ' + finding.remedy, width, initial_indent=' ' * len(head),
                               subsequent_indent=' ' * (len(head) + 3), break_on_hyphens=False)
    return '\n'.join(lines)
