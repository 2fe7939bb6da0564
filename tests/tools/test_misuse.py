"""tools/misuse.py accepts only a misuse that is refused for the right reason, with a good twin."""

import shutil
import unittest

import tree

misuse = tree.load("misuse")

GOOD = "int main() {}\n"
BAD = '// expect: no good\nint main() { static_assert(false, "this is no good"); }\n'


@unittest.skipUnless(shutil.which("g++"), "no g++ to compile with")
class MisuseTest(tree.TreeTest):
    def problems(self, bad, fixed):
        path = self.write("a.cpp", bad)
        if fixed is not None:
            self.write("a_fixed.cpp", fixed)
        return misuse.problems("g++", [], path)

    def test_a_refused_file_with_a_good_twin_passes(self):
        self.assertEqual(self.problems(BAD, GOOD), [])

    def test_a_misuse_that_compiles_is_found(self):
        self.assert_one(self.problems(GOOD, GOOD), "compiles, and must not")

    def test_another_message_than_the_expected_one_is_found(self):
        self.assert_one(self.problems("// expect: no good\nint main() { return x; }\n", GOOD),
                        "does not match")

    def test_a_missing_header_is_not_taken_for_a_refusal(self):
        self.assert_one(self.problems("#include <no/such/header>\n", GOOD), "another reason")

    def test_a_missing_twin_is_found(self):
        self.assert_one(self.problems(BAD, None), "a_fixed.cpp is missing")

    def test_a_twin_that_does_not_compile_is_found(self):
        self.assert_one(self.problems(BAD, BAD), "must compile")

    def test_a_prepared_header_stands_before_the_file(self):
        self.write("include/parkring/parkring.hpp", "#pragma once\nint prepared();\n")
        include, folder = [self.root / "include"], self.root / "made"
        self.assertEqual(misuse.prepare("g++", include, folder), [])
        path = self.write("a.cpp", BAD)
        self.write("a_fixed.cpp", "int main() { return prepared(); }\n")
        self.assertEqual(misuse.problems("g++", include, path, folder), [])

    def test_a_header_that_does_not_compile_is_told(self):
        self.write("include/parkring/parkring.hpp", "#error broken\n")
        include, folder = [self.root / "include"], self.root / "made"
        self.assert_one(misuse.prepare("g++", include, folder), "must compile")
        self.assertFalse((folder / "misuse.hpp.gch").exists())


if __name__ == "__main__":
    unittest.main()
