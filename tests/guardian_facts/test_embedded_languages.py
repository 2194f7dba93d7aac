"""awk, sed and perl programs inside an argument."""

import pytest

from holdfast.guardian.facts.languages.awk import read_awk
from holdfast.guardian.facts.languages.perl import perl_is_harmless
from holdfast.guardian.facts.languages.sed import read_sed


@pytest.mark.parametrize(
    "program",
    [
        "{print $1}",
        "$3 > 5 {print}",
        '{printf "%s > %s\\n", $1, $2}',
        "/a|b/ {print}",
        '{ if ($1 > 3 || $2) s += $1 } END { print s > 3 ? "a" : "b" }'.replace("s > 3", "(s > 3)"),
        'BEGIN{FS="|"} {print $2}',
        '{gsub(/[|>]/, ""); print}',
        "# system(\n{print}",
    ],
)
def test_awk_that_prints_is_understood(program: str) -> None:
    assert read_awk(program) == []


@pytest.mark.parametrize(
    "program",
    [
        'BEGIN{system("id")}',
        '{print | "sh"}',
        '{print > "f"}',
        "{print $1 >> f}",
        '"id" | getline x',
        '@include "x"',
        '{ x = 1 / system("id") / 2 }',
        '{printf "a" > "/dev/stderr"}',
        '{print "a" |& "cmd"}',
        'BEGIN{f="system"; @f("id")}',
    ],
)
def test_awk_that_acts_is_named(program: str) -> None:
    assert read_awk(program)


@pytest.mark.parametrize(
    "program",
    [
        "s/a/b/g",
        "1,5p",
        "/x/d",
        "$!N;s/\\n/ /",
        "y/abc/xyz/",
        "s|/a|/b|",
        "/a/,/b/{p;q}",
        "2q",
        ":a;N;$!ba;s/\\n/,/g",
        "s/e/w/",
    ],
)
def test_sed_that_transforms_is_understood(program: str) -> None:
    assert read_sed(program) == []


@pytest.mark.parametrize(
    "program",
    ["e", "1e id", "w f", "s/a/b/e", "s/a/b/gw f", "r /etc/x", "/x/w f", "{e\n}", "s/a", "k", "s,a,b,;e"],
)
def test_sed_that_acts_is_named(program: str) -> None:
    assert read_sed(program)


@pytest.mark.parametrize(
    "program",
    [
        "print if /x/",
        "s/a/b/g",
        "print $F[0]",
        "$s += $F[1]; END { print $s }",
        'print "$1\\n" if /(\\d+)/',
        "tr/a-z/A-Z/",
        "print join(',', sort @F)",
    ],
)
def test_perl_that_prints_is_harmless(program: str) -> None:
    assert perl_is_harmless(program)


@pytest.mark.parametrize(
    "program",
    [
        "system('x')",
        "`id`",
        "exec 'x'",
        "open(F, '>x')",
        "unlink 'x'",
        "s/x/unlink/e",
        "qx(id)",
        "require 'x'",
        "eval 'x'",
        '"@{[system 1]}"',
        "<$f>",
        "/(?{system 1})/",
        "print F > x",
        "do 'x'",
        "&{'x'}()",
        "$x->()",
        "use POSIX",
        "kill 9, 1",
    ],
)
def test_other_perl_is_not(program: str) -> None:
    assert not perl_is_harmless(program)
