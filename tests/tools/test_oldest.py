"""tools/oldest.py tells from a console what passed, even when the machine did not get far."""

import unittest

import tree

oldest = tree.load("oldest")

CONSOLE = """@@ booted 6.1.0
@@ start plain
text
@@ end plain 0
@@ start broken
text
@@ end broken 3
@@ start unit
[==========] Running 3 tests from 1 test suite.
[ RUN      ] A.a
[       OK ] A.a (0 ms)
[ RUN      ] A.b
file.cpp:3: Skipped
no such file system
[  SKIPPED ] A.b (1 ms)
[ RUN      ] A.c
file.cpp:9: Failure
[  FAILED  ] A.c, where GetParam() = 1 (2 ms)
[==========] 3 tests from 1 test suite ran. (3 ms total)
[  FAILED  ] A.c, where GetParam() = 1
@@ end unit 1
@@ start stuck
[ RUN      ] B.a""".splitlines()


class OutcomeTest(unittest.TestCase):
    def setUp(self):
        self.passed, self.skipped, self.failed = oldest.outcome(
            CONSOLE, ["plain", "broken", "unit", "stuck", "never"])

    def test_tests_and_plain_programs_are_counted(self):
        self.assertEqual(self.passed, 2)

    def test_a_skipped_test_is_shown_with_its_reason(self):
        self.assertEqual(self.skipped, [("unit.A.b", "no such file system")])

    def test_what_failed_is_told_once_with_its_output(self):
        self.assertEqual(self.failed[:2], [("broken (status 3)", ["text"]),
                                           ("unit.A.c", ["file.cpp:9: Failure"])])

    def test_what_did_not_end_has_failed(self):
        self.assertEqual([name for name, _ in self.failed[2:]],
                         ["stuck (did not end)", "never (did not end)"])


if __name__ == "__main__":
    unittest.main()
