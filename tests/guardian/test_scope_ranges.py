"""How people write the range of an argument on the command line."""

import click
import pytest

from holdfast.cli.approvals import named_range
from schemas.brakes import ArgumentRange


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("path=/srv/*", ArgumentRange(prefix="/srv/")),
        ("path=*", ArgumentRange(any=True)),
        ("count=1..5", ArgumentRange(minimum=1, maximum=5)),
        ("count=..5", ArgumentRange(maximum=5)),
        ("count=-1.5..", ArgumentRange(minimum=-1.5)),
        ("mode=append|create", ArgumentRange(one_of=("append", "create"))),
        ("command=ls a=b", ArgumentRange(equals="ls a=b")),
        ("path=a..b", ArgumentRange(equals="a..b")),
        ("note=", ArgumentRange(equals="")),
    ],
)
def test_a_range_reads_as_it_is_written(text: str, meant: ArgumentRange) -> None:
    name, read = named_range(text)
    assert (name, read) == (text.partition("=")[0], meant)


@pytest.mark.parametrize("text", ["path", "=x", ""])
def test_a_range_without_a_name_or_a_value_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        named_range(text)
