#!/usr/bin/env python3
"""Reads the JUnit file that ctest wrote.

ctest_summary.py FILE             prints the sums: passed, failed, skipped
ctest_summary.py --failures FILE  prints each failed test with the end of its output
"""

import sys
import xml.etree.ElementTree as xml

SHOWN_TESTS, SHOWN_LINES = 20, 40


def summary(suite):
    total, failed = int(suite.get("tests")), int(suite.get("failures"))
    skipped = int(suite.get("skipped", 0)) + int(suite.get("disabled", 0))
    return total - failed - skipped, failed, skipped


def failures(suite):
    """(name, end of its output) of each failed test."""
    for case in suite.iter("testcase"):
        if case.get("status") == "fail" or case.find("failure") is not None:
            output = case.findtext("system-out") or ""
            yield case.get("name"), output.rstrip().splitlines()[-SHOWN_LINES:]


def main(arguments):
    suite = xml.parse(arguments[-1]).getroot()
    if "--failures" not in arguments:
        print(*summary(suite))
        return
    found = list(failures(suite))
    for name, lines in found[:SHOWN_TESTS]:
        print(f"-- {name}", *(f"   {line}" for line in lines), sep="\n")
    for name, _ in found[SHOWN_TESTS:]:
        print(f"-- {name}: its output is in the log")


if __name__ == "__main__":
    main(sys.argv[1:])
