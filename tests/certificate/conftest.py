"""Prints the certificate below what pytest says itself."""

from typing import TYPE_CHECKING

from tests.certificate.table import lines

if TYPE_CHECKING:
    import pytest


def pytest_terminal_summary(terminalreporter: "pytest.TerminalReporter", config: "pytest.Config") -> None:
    if not config.getoption("full"):
        return
    for line in lines():
        terminalreporter.write_line(line)
