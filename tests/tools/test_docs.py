"""Quotes that differ and links that lead nowhere are found by tools/docs.py."""

import unittest

import tree

docs = tree.load("docs")

EXAMPLE = "// test-args: a\n// Says hello.\nint main() {}\n"
QUOTED = "<!-- example: examples/01.cpp -->\n```cpp\n// Says hello.\nint main() {}\n```\n"


class DocsTest(tree.TreeTest):
    def problems(self, fix=False):
        return docs.check(self.root, fix)[0]

    def test_an_exact_quote_is_no_problem(self):
        self.write("examples/01.cpp", EXAMPLE)
        self.write("docs/guide/a.md", f"# A\n\n{QUOTED}\nText.\n")
        self.assertEqual(self.problems(), [])

    def test_a_quote_that_differs_is_found_and_fixed(self):
        self.write("examples/01.cpp", EXAMPLE)
        path = self.write("docs/guide/a.md", f"# A\n\n{QUOTED.replace('hello', 'goodbye')}\nText.\n")
        self.assert_one(self.problems(), "docs/guide/a.md:3", "examples/01.cpp")
        self.assertEqual(self.problems(fix=True), [])
        self.assertEqual(path.read_text(), f"# A\n\n{QUOTED}\nText.\n")

    def test_a_marker_without_a_block_gets_one(self):
        self.write("examples/01.cpp", EXAMPLE)
        path = self.write("a.md", "<!-- example: examples/01.cpp -->\n\nText.\n")
        self.assert_one(self.problems(), "a.md:1")
        self.assertEqual(self.problems(fix=True), [])
        self.assertEqual(path.read_text(), QUOTED + "\nText.\n")

    def test_a_quote_of_an_example_that_is_not_there_is_found(self):
        self.write("a.md", QUOTED)
        self.assert_one(self.problems(fix=True), "examples/01.cpp is not there")

    def test_an_excerpt_may_be_indented_otherwise(self):
        self.write("tests/a.cpp", "f() {\n  if (x)\n    y();\n}\n")
        self.write("a.md", "<!-- excerpt: tests/a.cpp -->\n```cpp\nif (x)\n  y();\n```\n")
        self.assertEqual(self.problems(), [])

    def test_an_excerpt_that_is_not_in_its_file_is_found(self):
        self.write("tests/a.cpp", "f() {\n  if (x)\n    y();\n}\n")
        self.write("a.md", "<!-- excerpt: tests/a.cpp -->\n```cpp\nif (x)\n  z();\n```\n")
        self.assert_one(self.problems(), "a.md:1", "tests/a.cpp has no such lines")

    def test_an_excerpt_of_a_file_that_is_not_there_is_found(self):
        self.write("a.md", "<!-- excerpt: tests/a.cpp -->\n```cpp\nif (x)\n```\n")
        self.assert_one(self.problems(), "tests/a.cpp is not there")

    def test_a_link_that_leads_nowhere_is_found(self):
        self.write("b.md", "# Here we are\n")
        self.write("a.md", "[b](b.md) [c](c.md) [w](https://example.org) `[d](d.md)`\n")
        self.assert_one(self.problems(), "a.md:1", "c.md leads nowhere")

    def test_a_link_to_a_heading_that_is_not_there_is_found(self):
        self.write("b.md", "# Here `we` are\n")
        self.write("a.md", "[b](b.md#here-we-are)\n\n[b](b.md#gone)\n")
        self.assert_one(self.problems(), "a.md:3", "#gone")


if __name__ == "__main__":
    unittest.main()
