"""Each kind of violation is found by tools/check.py, and a clean tree has none."""

import shutil
import unittest

import tree

check = tree.load("check")

AWAITED = """#pragma once
namespace parkring {
class read_operation {};
class file {
 public:
%s  read_operation read_at(int offset);
 private:
  read_operation read_now();
};
}
"""
ALL_SECTIONS = """  /// Reads.
  ///
  /// *Completes when* read. *Owns* the buffer. *Thread*: its own. *Drop*: any time.
  /// *Errors*: those of pread(2).
"""


class CheckTest(tree.TreeTest):
    def problems(self, compiler=None, accepted=None):
        repository = check.Repository(self.root, accepted={} if accepted is None else accepted)
        repository.check(compiler)
        self.notes = repository.notes
        return repository.problems

    def test_a_clean_tree_has_no_problem(self):
        self.write("include/parkring/error.hpp", "#pragma once\n#include <string>\n")
        self.write("include/parkring/fs/file.hpp", AWAITED % ALL_SECTIONS)
        self.write("include/parkring/parkring.hpp", "#include <parkring/fs/file.hpp>\n")
        self.write("src/base/text.hpp", "#include <parkring/error.hpp>\n")
        self.write("src/ring/ring.hpp", '#include <linux/io_uring.h>\n#include "base/text.hpp"\n')
        self.write("src/ring/ring.cpp", '#include "ring.hpp"\n')
        self.write("src/exec/run.cpp", "#include <coroutine>\n")
        self.write("examples/01.cpp", "#include <parkring/parkring.hpp>\n")
        self.assertEqual(self.problems(), [])

    # Layers
    def test_a_layer_that_includes_one_above_it_is_found(self):
        self.write("src/exec/run.hpp", "")
        self.write("src/op/record.cpp", '// text\n#include "exec/run.hpp"\n')
        self.assert_one(self.problems(), "src/op/record.cpp:2", "op may not include exec")

    def test_a_back_edge_through_a_relative_path_is_found(self):
        self.write("src/exec/run.hpp", "")
        self.write("src/op/record.cpp", '#include "../exec/run.hpp"\n')
        self.assert_one(self.problems(), "op may not include exec")

    def test_a_back_edge_through_a_public_header_is_found(self):
        self.write("include/parkring/task.hpp", "")
        self.write("src/buf/pool.cpp", "#include <parkring/task.hpp>\n")
        self.assert_one(self.problems(), "buf may not include exec")

    def test_a_back_edge_between_public_headers_is_found(self):
        self.write("include/parkring/fs/file.hpp", "")
        self.write("include/parkring/task.hpp", "#include <parkring/fs/file.hpp>\n")
        self.assert_one(self.problems(), "exec may not include fs")

    def test_an_include_in_a_comment_does_not_count(self):
        self.write("src/exec/run.hpp", "")
        self.write("src/op/record.cpp", '// #include "exec/run.hpp"\n/*\n#include "exec/run.hpp"\n*/\n')
        self.assertEqual(self.problems(), [])

    def test_an_accepted_edge_needs_its_decision_record(self):
        self.write("src/buf/pool.hpp", "")
        self.write("src/exec/run.cpp", '#include "buf/pool.hpp"\n')
        accepted = {("exec", "buf"): "docs/decisions/0099-x.md"}
        self.assert_one(self.problems(accepted=accepted), "0099-x.md", "not there")
        self.write("docs/decisions/0099-x.md", "# Why\n")
        self.assertEqual(self.problems(accepted=accepted), [])

    def test_an_accepted_edge_that_nothing_uses_is_noted(self):
        self.write("docs/decisions/0099-x.md", "# Why\n")
        self.assertEqual(self.problems(accepted={("exec", "buf"): "docs/decisions/0099-x.md"}), [])
        self.assertTrue(any("no longer needed" in note for note in self.notes))

    def test_an_edge_accepted_for_one_file_is_not_accepted_for_others(self):
        self.write("docs/decisions/0099-x.md", "# Why\n")
        self.write("src/buf/pool.hpp", "")
        self.write("src/exec/run.cpp", '#include "buf/pool.hpp"\n')
        self.write("src/exec/task.cpp", '#include "buf/pool.hpp"\n')
        accepted = {("src/exec/run.cpp", "buf"): "docs/decisions/0099-x.md"}
        self.assert_one(self.problems(accepted=accepted), "src/exec/task.cpp:1")

    def test_an_unknown_public_header_is_found(self):
        self.write("include/parkring/surprise.hpp", "")
        self.assert_one(self.problems(), "surprise.hpp", "add this header to PUBLIC")

    def test_an_unknown_layer_is_found(self):
        self.write("src/util/things.cpp", "")
        self.assert_one(self.problems(), "src/util/things.cpp", "in no layer")

    def test_a_public_header_that_includes_a_private_one_is_found(self):
        self.write("src/base/text.hpp", "")
        self.write("include/parkring/error.hpp", '#include "base/text.hpp"\n')
        self.assert_one(self.problems(), "includes no private header")

    def test_an_example_that_uses_internals_is_found(self):
        self.write("src/base/text.hpp", "")
        self.write("include/parkring/detail/list.hpp", "")
        self.write("examples/01.cpp", '#include "base/text.hpp"\n')
        self.write("tools/probe.cpp", "#include <parkring/detail/list.hpp>\n")
        found = self.problems()
        self.assertEqual(len(found), 2, found)
        self.assertTrue(all("public headers only" in line for line in found), found)

    def test_a_source_that_includes_the_umbrella_is_found(self):
        self.write("include/parkring/parkring.hpp", "")
        self.write("src/exec/run.cpp", "#include <parkring/parkring.hpp>\n")
        self.assert_one(self.problems(), "include what is used")

    def test_a_header_that_is_not_there_is_found(self):
        self.write("src/base/text.cpp", '#include "base/gone.hpp"\n')
        self.assert_one(self.problems(), '"base/gone.hpp" is no file of this project')

    def test_coroutines_below_exec_are_found(self):
        self.write("src/park/driver.hpp", "#include <coroutine>\n")
        self.write("src/exec/run.hpp", "#include <coroutine>\n")
        self.assert_one(self.problems(), "src/park/driver.hpp:1", "<coroutine>")

    def test_kernel_headers_above_ring_are_found(self):
        for name in ("linux/io_uring.h", "sys/syscall.h", "asm/unistd.h", "liburing.h"):
            with self.subTest(name):
                self.write("src/fs/open.cpp", f"#include <{name}>\n")
                self.assert_one(self.problems(), "src/fs/open.cpp:1", "kernel headers belong to")

    def test_kernel_headers_in_public_headers_are_found(self):
        self.write("include/parkring/error.hpp", "#include <linux/fs.h>\n")
        self.assert_one(self.problems(), "include/parkring/error.hpp:1", "kernel header")

    def test_tests_and_lab_may_use_kernel_headers(self):
        self.write("src/op/record_test.cpp", "#include <sys/syscall.h>\n")
        self.write("tests/crash/a_test.cpp", "#include <sys/syscall.h>\n")
        self.write("lab/limit.cpp", "#include <liburing.h>\n")
        self.assertEqual(self.problems(), [])

    # Size and words
    def test_a_file_that_is_too_long_is_found_and_a_long_one_noted(self):
        self.write("src/base/long.cpp", "\n" * 600)
        self.assertEqual(self.problems(), [])
        self.assertEqual(self.notes, ["src/base/long.cpp: 600 lines"])
        self.write("src/base/long.cpp", "\n" * 601)
        self.assert_one(self.problems(), "601 lines")

    def test_markers_of_unfinished_work_are_found(self):
        for word in ("TO" + "DO", "FIX" + "ME", "X" + "XX"):
            with self.subTest(word):
                self.write("docs/guide/a.md", f"\nlater: {word}\n")
                self.assert_one(self.problems(), "docs/guide/a.md:2", word)

    # Documentation
    def test_each_missing_section_is_found(self):
        for section in check.SECTIONS:
            with self.subTest(section):
                self.write("include/parkring/fs/file.hpp",
                           AWAITED % ALL_SECTIONS.replace(section, "Something"))
                self.assert_one(self.problems(), "read_at lacks", section)

    def test_an_awaited_function_without_documentation_is_found(self):
        self.write("include/parkring/fs/file.hpp", AWAITED % "")
        self.assert_one(self.problems(), "file.hpp:6", "read_at() is awaited and has no /// block")

    def test_a_block_may_refer_to_its_sibling(self):
        for words in ("As above, but backwards.", "Reads backwards. As `read_at`."):
            with self.subTest(words):
                self.write("include/parkring/fs/file.hpp", (AWAITED % ALL_SECTIONS).replace(
                    " private:", f"  /// {words}\n  read_operation read_back(int);\n private:"))
                self.assertEqual(self.problems(), [])

    def test_a_block_that_refers_to_nothing_is_found(self):
        for words in ("As above.", "As `read_all`."):
            with self.subTest(words):
                self.write("include/parkring/fs/file.hpp", AWAITED % f"  /// Reads. {words}\n")
                self.assert_one(self.problems(), "read_at lacks: Completes when", "refers to")

    def test_an_overload_shares_the_documentation_of_the_first(self):
        self.write("include/parkring/fs/file.hpp",
                   (AWAITED % ALL_SECTIONS).replace(" private:", "  read_operation read_at(long);\n private:"))
        self.assertEqual(self.problems(), [])

    def test_a_function_that_returns_a_task_is_awaited(self):
        self.write("include/parkring/fs.hpp", """namespace parkring::fs {
/// Opens.
template <class T>
[[nodiscard("co_await it")]] task<std::vector<T>> read_file(T path);
}
""")
        self.assert_one(self.problems(), "fs.hpp:3", "read_file lacks")

    def test_a_class_with_one_section_has_all(self):
        self.write("include/parkring/task.hpp", """namespace parkring {
/// A task. *Completes when* it returns.
template <class T>
class task {};
}
""")
        self.assert_one(self.problems(), "task lacks", "Owns · Thread · Drop · Errors")

    # Headers alone
    @unittest.skipUnless(shutil.which("g++"), "no g++ to compile with")
    def test_a_header_that_needs_another_first_is_found(self):
        self.write("include/parkring/error.hpp", "#pragma once\ninline std::string text;\n")
        self.write("include/parkring/literals.hpp", "#pragma once\n#include <string>\n")
        self.assert_one(self.problems("g++"), "error.hpp", "does not compile alone")

    @unittest.skipUnless(shutil.which("g++"), "no g++ to compile with")
    def test_a_header_without_a_guard_is_found(self):
        self.write("include/parkring/error.hpp", "struct error {};\n")
        self.assert_one(self.problems("g++"), "does not compile alone", "redefinition")


if __name__ == "__main__":
    unittest.main()
