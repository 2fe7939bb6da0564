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


class SummaryTest(unittest.TestCase):
    def test_skipped_and_disabled_tests_are_not_passed(self):
        self.assertEqual(ctest_summary.summary(xml.fromstring(REPORT)), (2, 1, 2))

    def test_a_failed_test_is_shown_with_its_output(self):
        self.assertEqual(list(ctest_summary.failures(xml.fromstring(REPORT))), [("c", ["one", "two"])])


if __name__ == "__main__":
    unittest.main()
