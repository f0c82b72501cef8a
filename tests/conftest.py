"""What holds for every test: tests that need root run only as root, and CI has everything that a test can need.

A test that cannot run for want of something says so with `pytest.skip("needs ...")`. On a person's machine that is a skip; with
CI=true it is a failure, so that no server, browser or kernel feature goes missing there unseen.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import Any

import pytest

_IN_CI = os.environ.get("CI", "").lower() in ("1", "true")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out tests marked `root` unless this is root."""
    if not hasattr(os, "geteuid") or os.geteuid() == 0:
        return
    left_out = [item for item in items if item.get_closest_marker("root")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("root")]


def _fail_if_missing(report: pytest.TestReport | pytest.CollectReport) -> None:
    if not _IN_CI or report.outcome != "skipped" or not isinstance(report.longrepr, tuple):
        return
    path, line, reason = report.longrepr
    reason = reason.removeprefix("Skipped: ")
    if reason.startswith("needs "):
        report.outcome = "failed"
        report.longrepr = f"{path}:{line}: skipped in CI, where nothing may be missing: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _fail_if_missing(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, Any, pytest.CollectReport]:
    report: pytest.CollectReport = yield
    _fail_if_missing(report)
    return report
