# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest goes to and fro, each time with another fault at another phase: it always arrives, with both clocks right or both stock.

The seed decides on the order, and on which of the hosts it is; CLOCKFERRY_SEED repeats one. Every day the first few are walked,
every fault at every phase with --full, and on either host with --every-place. What came of each is in build/vm/fault-walk.md.
"""

import traceback

import pytest

import deployment
import fault_walk
import package_files

# a minute
EVERYDAY_STEPS = 1


def pytest_generate_tests(metafunc):
    if "combination" not in metafunc.fixturenames:
        return
    combinations = fault_walk.list_combinations(metafunc.config.getoption("--every-place"))
    metafunc.parametrize("combination", [
        pytest.param(combination, id=combination.name, marks=pytest.mark.full if number >= EVERYDAY_STEPS else ())
        for number, combination in enumerate(combinations)])


@pytest.fixture(scope="module")
def walk(deployed_hosts, deployed_folder):
    if not package_files.find_packages(deployed_folder):
        pytest.skip(f"{deployed_folder} holds no packages to upgrade from")
    package_files.make_successors(deployed_folder)
    made = fault_walk.Walk(deployed_hosts, package_files.SUCCESSORS_DIR)
    yield made
    made.leave()
    if made.has_upgraded:
        deployment.install_packages(deployed_hosts, deployed_folder)


def test_fault(walk, combination):
    try:
        step = walk.take(combination)
    except BaseException:
        traceback.print_exc()   # pytest itself tells it when the whole walk is over
        walk.leave()   # it may be anywhere, and held there
        raise
    print(f"\n{step.measured.describe()}\nin cont: {step.cont_s * 1e3:.3f} ms; the report: {step.why or step.verdict}")
    fault_walk.keep(step)
    fault_walk.check_step(step)
