"""Ranks on two hosts: network namespaces with names and addresses of their own.

Each host is made of a namespace joined to the other's by a virtual cable. A script that stands in
for ssh starts MPI's daemons there, so that ranks meet over TCP and share no memory.
"""
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.mpi

AGENT = """#!/bin/sh
host=$1; shift
exec ip netns exec "$host" unshare --uts sh -c "hostname $host; $*"
"""
NETWORK = '10.77.{}.{}'


def ip(*arguments, check=True):
    return subprocess.run(['ip', *arguments], check=check, capture_output=True, text=True)


@pytest.fixture
def hosts():
    """Names of two hosts and the network that joins them."""
    for program in ('ip', 'unshare'):
        if shutil.which(program) is None:
            pytest.skip('{} is not installed (Debian: iproute2, util-linux)'.format(program))
    if os.geteuid() != 0:
        pytest.skip('only root may make network namespaces')
    number = os.getpid() % 250
    names = ['kfac{}{}'.format(end, number) for end in 'ab']
    if ip('netns', 'add', names[0], check=False).returncode:
        pytest.skip('this system does not let root make network namespaces')
    try:
        ip('netns', 'add', names[1])
        ip('link', 'add', 'v' + names[0], 'netns', names[0], 'type', 'veth',
           'peer', 'name', 'v' + names[1], 'netns', names[1])
        for last, name in enumerate(names, 1):
            ip('-n', name, 'addr', 'add', NETWORK.format(number, last) + '/24', 'dev', 'v' + name)
            ip('-n', name, 'link', 'set', 'lo', 'up')
            ip('-n', name, 'link', 'set', 'v' + name, 'up')
        yield names, NETWORK.format(number, 0) + '/24'
    finally:
        for name in names:
            ip('netns', 'del', name, check=False)


def test_two_hosts(hosts, changes, tmp_path):
    (first, second), network = hosts
    agent = tmp_path / 'agent'
    agent.write_text(AGENT)
    agent.chmod(0o755)
    program = Path(__file__).parent / 'programs' / 'two_hosts.py'
    beside_python = Path(sys.executable).parent / 'mpirun'
    mpirun = beside_python if beside_python.exists() else shutil.which('mpirun')
    command = [mpirun, '--host', '{}:1,{}:1'.format(first, second), '-n', '2',
               '--prtemca', 'plm_ssh_agent', agent, '--prtemca', 'prte_if_include', network,
               '--mca', 'btl_tcp_if_include', network, sys.executable, program, changes]
    done = subprocess.run(
        [agent, first, *map(str, command)], capture_output=True, text=True, timeout=100,
        check=False, env=dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT='1',
                              OMPI_ALLOW_RUN_AS_ROOT_CONFIRM='1', OMP_NUM_THREADS='1'))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count('done') == 2
