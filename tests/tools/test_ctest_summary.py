"""tools/ctest_summary.py counts what ctest reports."""

import unittest
import xml.etree.ElementTree as xml

import tree

ctest_summary = tree.load("ctest_summary")

REPORT = """<testsuite name="x" tests="5" failures="1" disabled="1" skipped="1">
<testcase name="a" status="run"/><testcase name="b" status="run"/>
<testcase name="c" status="fail"><failure message=""/><system-out>one
two</system-out></testcase>
<testcase name="d" status="disabled"/><testcase name="e" status="notrun"><skipped/></testcase>
</testsuite>"""

GROUPS = """<testsuite name="x" tests="4" failures="1" disabled="0" skipped="1">
<testcase name="many" status="run"><system-out>Repeating all tests (iteration 1) . . .
[==========] 9 tests from 2 test suites ran. (1 ms total)
[  PASSED  ] 8 tests.
[  SKIPPED ] 1 test.
Repeating all tests (iteration 2) . . .
[==========] 9 tests from 2 test suites ran. (1 ms total)
[  PASSED  ] 7 tests.
[  SKIPPED ] 2 tests.
</system-out></testcase>
<testcase name="none" status="notrun"><skipped/><system-out>t.cpp:1: Skipped
no disk

[==========] 5 tests from 1 test suite ran. (1 ms total)
[  PASSED  ] 0 tests.
[  SKIPPED ] 5 tests.
</system-out></testcase>
<testcase name="broken" status="fail"><failure message=""/><system-out>
[  PASSED  ] 3 tests.
[  FAILED  ] 2 tests, listed below:
[  FAILED  ] A.a
[  FAILED  ] B.b
</system-out></testcase>
<testcase name="crashed" status="fail"><failure message=""/></testcase>
<testcase name="one" status="notrun"><skipped/><system-out>
[  PASSED  ] 0 tests.
[  SKIPPED ] 1 test, listed below:
</system-out></testcase>
</testsuite>"""


class SummaryTest(unittest.TestCase):
    def test_skipped_and_disabled_tests_are_not_passed(self):
        self.assertEqual(ctest_summary.summary(xml.fromstring(REPORT)), (2, 1, 2))

    def test_a_failed_test_is_shown_with_its_output(self):
        self.assertEqual(list(ctest_summary.failures(xml.fromstring(REPORT))), [("c", ["one", "two"])])

    def test_an_entry_counts_the_tests_in_it(self):
        self.assertEqual(ctest_summary.summary(xml.fromstring(GROUPS)), (7 + 3, 2 + 1, 2 + 5 + 1))

    def test_a_group_of_which_nothing_ran_is_named_with_the_reason(self):
        self.assertEqual(list(ctest_summary.untested(xml.fromstring(GROUPS))), [("none", "no disk")])

    def test_an_empty_report_has_nothing(self):
        self.assertEqual(ctest_summary.summary(xml.fromstring("<testsuite/>")), (0, 0, 0))


if __name__ == "__main__":
    unittest.main()
