# SPDX-License-Identifier: LGPL-2.1-or-later
"""docs/walk-through.md, followed to the letter: every command in it is run where it says, and prints what it says."""

import contextlib
import time

import pytest

import build_tree
import deployment
import emulated_host
import host_pair
import package_files
import walk_through

WALK_THROUGH_PATH = build_tree.REPOSITORY_DIR / "docs" / "walk-through.md"

# apt and a migration are the slowest of them.
COMMAND_TIMEOUT_S = 300
# How long a reader would go on asking until it shows: the daemon has to look at a guest that has just arrived.
LOOK_DEADLINE_S = 30
LOOK_INTERVAL_S = 1

# The hosts have no network: apt must not look for packages that clockferry's only recommend.
_APT_CONFIG_PATH = "/etc/apt/apt.conf.d/99-walk-through"
_APT_CONFIG = 'Dir::State::Lists "/run/no-lists"; Dir::Cache::pkgcache ""; Dir::Cache::srcpkgcache "";\n'

_FOLLOWED_UNIT = "walk-through-followed.service"
_FOLLOWED_OUTPUT_PATH = "/run/walk-through-followed.txt"


@pytest.fixture
def hosts_without_clockferry(deployed_hosts, deployed_folder):
    """As they are before the walk: the packages lie in root's home folder. Afterwards they are installed again, for other tests."""
    if not package_files.find_packages(deployed_folder):
        pytest.skip("its first step installs packages, and the hosts have a staging tree")

    def take_away(host):
        deployment.remove_packages(host, purge=True)
        host.run(["cp", *deployment.put_packages(host, deployed_folder), "/root/"])
        host.put_file(_APT_CONFIG_PATH, _APT_CONFIG)

    def put_back(host):
        host.run(["systemctl", "stop", _FOLLOWED_UNIT], check=False)
        host.run(["sh", "-c", 'rm -f "$0" /root/clockferry*.deb', _APT_CONFIG_PATH])
        deployment.remove_packages(host, purge=True)

    host_pair.run_in_parallel(*(lambda host=host: take_away(host) for host in deployed_hosts))
    try:
        yield deployed_hosts
    finally:
        host_pair.run_in_parallel(*(lambda host=host: put_back(host) for host in deployed_hosts))
        deployment.deploy(deployed_hosts, deployed_folder)


def run_in_shell(host, command):
    """As on a terminal: in root's home folder, with errors among the output."""
    return host.run(["bash", "-c", f"cd\nexec 2>&1\n{command}"], check=False, timeout=COMMAND_TIMEOUT_S)


def find_problem(step, result):
    if not step.may_end_with(result.rc):
        return f"exit status {result.rc}, and it printed:\n{result.stdout}"
    return walk_through.find_difference(step.expected, result.stdout)


def follow_step(step, host):
    deadline = time.monotonic() + LOOK_DEADLINE_S
    while True:
        problem = find_problem(step, run_in_shell(host, step.command))
        if problem is None or not step.only_looks or time.monotonic() > deadline:
            return problem
        time.sleep(LOOK_INTERVAL_S)


@contextlib.contextmanager
def followed(step, host):
    """Within it the command goes on; at the end of it, it has printed what it has to."""
    host.run(["systemd-run", "--quiet", "--collect", f"--unit={_FOLLOWED_UNIT}", "--property=WorkingDirectory=/root",
              f"--property=StandardOutput=truncate:{_FOLLOWED_OUTPUT_PATH}", "--setenv=LC_ALL=C.UTF-8",
              "bash", "-c", f"exec {step.command}"])
    # its first line of output may come as late as the event that it waits for
    program = step.command.split()[0]
    host.wait_until(["sh", "-c", 'busctl --no-pager --no-legend list | grep -qw "$0"', program], LOOK_DEADLINE_S,
                    f"{program} to be on the bus")
    yield

    def read_difference():
        return walk_through.find_difference(step.expected, host.get_file(_FOLLOWED_OUTPUT_PATH))

    with contextlib.suppress(TimeoutError):  # told below, with what it printed
        emulated_host.wait_until(lambda: read_difference() is None, LOOK_DEADLINE_S, step.command)
    difference = read_difference()
    host.run(["systemctl", "stop", _FOLLOWED_UNIT])
    assert difference is None, describe(step, host, difference)


def describe(step, host, problem):
    return f"{WALK_THROUGH_PATH.name}, line {step.line_number}: {host.name}# {step.command}\n{problem}"


@pytest.mark.full
def test_walk_through(hosts_without_clockferry, start_guest):
    steps = walk_through.parse(WALK_THROUGH_PATH.read_text())
    start_guest(name="web")

    with contextlib.ExitStack() as windows:
        block = None
        followed_block = None
        for step in steps:
            # the window is looked at once the block after its own has been run
            if followed_block is not None and step.block > followed_block + 1:
                windows.pop_all().close()
                followed_block = None
            if step.block != block:
                block = step.block
                print(f"\nblock {block}, line {step.line_number}")
            for name in step.hosts:
                host = hosts_without_clockferry.get_host(name)
                print(f"{name}# {step.command}")
                if step.is_followed:
                    windows.enter_context(followed(step, host))
                    followed_block = step.block
                else:
                    problem = follow_step(step, host)
                    assert problem is None, describe(step, host, problem)
