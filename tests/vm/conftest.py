# SPDX-License-Identifier: LGPL-2.1-or-later
"""Fixtures of the VM tests: the two hosts, and guests on them."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import build_tree  # noqa: E402
import deployment  # noqa: E402
import failure_report  # noqa: E402
import fault_walk  # noqa: E402
import guest_domain  # noqa: E402
import host_channel  # noqa: E402
import host_pair  # noqa: E402
import journey  # noqa: E402
import kinds_table  # noqa: E402
import migration  # noqa: E402
from daemon_journal import DaemonJournal  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--full", action="store_true", help="also the tests that take too long for every day")
    parser.addoption("--every-place", action="store_true", help="the fault walk on either host, which takes twice as long")
    parser.addoption("--deploy", metavar="FOLDER", default=build_tree.PACKAGES_DIR, type=pathlib.Path,
                     help="what to put into the hosts: a folder of packages, by default the one that scripts/package fills, "
                          "or a staging tree made by `DESTDIR=… meson install`")


def pytest_report_header():
    return f"fault walk: CLOCKFERRY_SEED={fault_walk.SEED}"


def pytest_configure(config):
    config.addinivalue_line("markers", "full: takes too long for every day; runs with --full")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--full"):
        return
    left_out = [item for item in items if item.get_closest_marker("full")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def pytest_sessionstart(session):
    kinds_table.begin_measurements()
    # what is to be measured anew as a whole
    if session.config.getoption("--full") and not session.config.getoption("keyword"):
        kinds_table.forget()
        fault_walk.forget()


@pytest.fixture(scope="session")
def hosts():
    """Both hosts: the ones that `hosts up` left running, else a pair that lives as long as this test run."""
    with host_pair.borrow() as pair:
        yield pair


@pytest.fixture(scope="session")
def deployed_folder(pytestconfig):
    """What is put into the hosts."""
    folder = pytestconfig.getoption("--deploy")
    if not folder.is_dir():
        pytest.fail(f"{folder} is missing: `scripts/package` makes packages to put into the hosts")
    return folder


@pytest.fixture(scope="session")
def deployed_hosts(hosts, deployed_folder):
    """The hosts with clockferry."""
    deployment.deploy(hosts, deployed_folder)
    return hosts


@pytest.fixture
def stock_hosts(hosts):
    """The hosts without clockferry, whether it is deployed or not: for the control."""
    with deployment.clockferry_out_of_service(hosts):
        yield hosts


@pytest.fixture
def start_guest(hosts):
    """start_guest(**fields of GuestSpec) starts a guest on the source host; it is gone after the test."""
    specs = []

    def start(**fields):
        specs.append(guest_domain.GuestSpec(**fields))
        return migration.start_guest(hosts, specs[-1])

    yield start
    for spec in specs:
        migration.remove_guest(hosts, spec)


@pytest.fixture
def start_ready_guest(deployed_hosts, start_guest):
    """start_guest() for a guest with the helper in its QEMU; returns when the source's daemon knows it."""
    def start(**fields):
        journal = DaemonJournal(deployed_hosts.source)
        guest = start_guest(domain_xml=guest_domain.WITH_HELPER_XML, **fields)
        journal.wait_for_event("domain-ready", guest.spec.uuid)
        return guest

    return start


@pytest.fixture(scope="module")
def arm(deployed_hosts):
    """A journey with clockferry, for all the tests of a file."""
    with journey.travel(deployed_hosts, journey.CLOCKFERRY) as made:
        yield made


@pytest.fixture
def trip(arm, request):
    """The file's journey. A test that fails may leave the guest anywhere: the next one gets a new guest."""
    failed_before = request.session.testsfailed
    yield arm
    if request.session.testsfailed != failed_before:
        arm.leave()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    pair = item.funcargs.get("hosts") if hasattr(item, "funcargs") else None
    if report.failed and pair is not None:
        try:
            kept = f"journals and logs of both hosts: {failure_report.keep_failure(pair, item.nodeid)}"
        except (OSError, RuntimeError, host_channel.CommandFailed) as error:
            kept = f"no journals and logs: {error}"
        report.sections.append(("hosts", kept))
