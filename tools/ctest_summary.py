#!/usr/bin/env python3
"""Reads the JUnit file that ctest wrote.

ctest_summary.py FILE             prints the sums: passed, failed, skipped
ctest_summary.py --failures FILE  prints each failed test with the end of its output
ctest_summary.py --untested FILE  prints each group of tests of which none ran, with a reason

They count tests, not entries: what gtest says at the end of an entry's output goes before.
"""

import re
import sys
import xml.etree.ElementTree as xml

SHOWN_TESTS, SHOWN_LINES = 20, 40


def told(output, word):
    """The number of tests in gtest's last line with that word; None without one."""
    found = re.findall(rf"^\[  {word} +\] (\d+) tests?\b", output, re.MULTILINE)
    return int(found[-1]) if found else None


def counts(case):
    """(passed, failed, skipped) of an entry."""
    output = case.findtext("system-out") or ""
    passed, failed, skipped = (told(output, word) for word in ("PASSED", "FAILED", "SKIPPED"))
    if has_failed(case):  # also when its tests say nothing of it: it crashed, or took too long
        return passed or 0, failed or 1, skipped or 0
    if case.get("status") != "run":
        return 0, 0, skipped or 1
    return 1 if passed is None else passed, 0, skipped or 0


def has_failed(case):
    return case.get("status") == "fail" or case.find("failure") is not None


def summary(suite):
    return tuple(map(sum, zip((0, 0, 0), *map(counts, suite.iter("testcase")))))


def failures(suite):
    """(name, end of its output) of each failed test."""
    for case in filter(has_failed, suite.iter("testcase")):
        output = case.findtext("system-out") or ""
        yield case.get("name"), output.rstrip().splitlines()[-SHOWN_LINES:]


def untested(suite):
    """(name, a reason) of each entry for many tests that ran none of them."""
    for case in suite.iter("testcase"):
        output = case.findtext("system-out") or ""
        if (told(output, "SKIPPED") or 0) > 1 and told(output, "PASSED") == 0 and not has_failed(case):
            reason = re.search(r": Skipped\n(.+)", output)
            yield case.get("name"), reason.group(1) if reason else "its output is in the log"


def main(arguments):
    suite = xml.parse(arguments[-1]).getroot()
    if "--failures" in arguments:
        found = list(failures(suite))
        for name, lines in found[:SHOWN_TESTS]:
            print(f"-- {name}", *(f"   {line}" for line in lines), sep="\n")
        for name, _ in found[SHOWN_TESTS:]:
            print(f"-- {name}: its output is in the log")
    elif "--untested" in arguments:
        for name, reason in untested(suite):
            print(f"-- nothing of {name} ran: {reason}")
    else:
        print(*summary(suite))


if __name__ == "__main__":
    main(sys.argv[1:])
