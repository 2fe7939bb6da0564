#!/usr/bin/env python3
"""Checks the repository against its own rules. Prints one line for each violation.

  layers      #include lines follow LAYERS; <coroutine> and kernel headers stay where they belong
  headers     each public header compiles alone, and twice
  size        no file over 600 lines; those over 400 are named
  docs        a public function that is awaited documents its five sections, or says which sibling
              in its header does: "As above", "As `name`"
  words       no markers of unfinished work

Tests (*_test.cpp, tests/) may include anything: nothing depends on them.
"""

import argparse
import concurrent.futures
import fnmatch
import os
import pathlib
import re
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import declarations  # noqa: E402

# --- The rules, as data ---------------------------------------------------------------------------
# Layer -> what it may include besides itself and std. The order is from the bottom up.
LAYERS = {
    "base": set(),
    "kernel": {"base"},
    "ring": {"base", "kernel"},
    "op": {"base", "ring"},
    "buf": {"base", "ring", "op"},
    "park": {"base", "ring", "op"},
    "exec": {"base", "op", "park"},
    "time": {"base", "buf", "exec"},
    "sync": {"base", "buf", "exec"},
    "stream": {"base", "exec", "sync"},
    "shards": {"base", "exec", "sync"},
    "fs": {"base", "buf", "exec", "op", "sync", "stream"},
    "net": {"base", "buf", "exec", "op"},
    "proc": {"base", "buf", "exec", "op"},
    "sim": {"base", "kernel", "exec"},
}

PROBE = "docs/decisions/0021-parkring-probe-sees-private-headers.md"

# Edges beside the table: (including file or layer, included file or layer) -> decision record.
# Files are written from the root: "src/exec/driver.cpp", "include/parkring/buffer.hpp".
ACCEPTED = {
    ("op", "src/kernel/abi.hpp"): "docs/decisions/0013-abi-header-is-vocabulary.md",
    ("park", "src/kernel/abi.hpp"): "docs/decisions/0013-abi-header-is-vocabulary.md",
    ("buf", "src/kernel/abi.hpp"): "docs/decisions/0013-abi-header-is-vocabulary.md",
    ("fs", "src/kernel/abi.hpp"): "docs/decisions/0013-abi-header-is-vocabulary.md",
    ("fs", "src/kernel/open_how.hpp"): "docs/decisions/0013-abi-header-is-vocabulary.md",
    ("fs", "src/kernel/file_calls.hpp"): "docs/decisions/0048-calls-beside-the-ring.md",
    ("exec", "buf"): "docs/decisions/0014-exec-owns-the-buffer-pool.md",
    ("include/parkring/detail/roaming_task.hpp", "include/parkring/event.hpp"):
        "docs/decisions/0044-tasks-move-where-they-wait-for-nothing.md",
    ("proc", "src/kernel/abi.hpp"): "docs/decisions/0013-abi-header-is-vocabulary.md",
    ("proc", "include/parkring/fs/file.hpp"): "docs/decisions/0038-processes-and-signals.md",
    ("tools/parkring-probe.cpp", "src/kernel/abi.hpp"): PROBE,
    ("tools/parkring-probe.cpp", "src/kernel/kernel.hpp"): PROBE,
    ("tools/parkring-probe.cpp", "src/ring/capabilities.hpp"): PROBE,
    ("tools/parkring-probe.cpp", "src/ring/choice.hpp"): PROBE,
    ("tools/parkring-probe.cpp", "src/ring/setup_error.hpp"): PROBE,
}

# Public header, below include/parkring -> layer. The first pattern that matches counts.
PUBLIC = [
    ("detail/check.hpp", "base"),
    ("detail/frame_allocator.hpp", "base"),
    ("detail/home.hpp", "base"),
    ("detail/list.hpp", "base"),
    ("detail/outcome.hpp", "base"),
    ("detail/wait_note.hpp", "base"),
    ("detail/waiter.hpp", "base"),
    ("error.hpp", "base"),
    ("literals.hpp", "base"),
    ("detail/record.hpp", "op"),
    ("detail/buffer_block.hpp", "buf"),
    ("buffer_locked.hpp", "buf"),
    ("memory.hpp", "buf"),
    ("detail/timer_node.hpp", "park"),
    ("detail/awaitable.hpp", "exec"),
    ("detail/awaitable_range.hpp", "exec"),
    ("detail/blocking_job.hpp", "exec"),
    ("detail/branch.hpp", "exec"),
    ("detail/core.hpp", "exec"),
    ("detail/deadline_context.hpp", "exec"),
    ("detail/nested_frames.hpp", "exec"),
    ("detail/plain_frame.hpp", "exec"),
    ("detail/roaming_task.hpp", "exec"),
    ("detail/root.hpp", "exec"),
    ("detail/scope.hpp", "exec"),
    ("detail/simple_op.hpp", "exec"),
    ("detail/spawn_site.hpp", "exec"),
    ("detail/stream.hpp", "stream"),
    ("detail/task_cell.hpp", "exec"),
    ("detail/task_context.hpp", "exec"),
    ("detail/thread_bound.hpp", "exec"),
    ("detail/timer.hpp", "exec"),
    ("detail/whereabouts.hpp", "exec"),
    ("as_result.hpp", "exec"),
    ("async_fd.hpp", "exec"),
    ("blocking.hpp", "exec"),
    ("buffer.hpp", "exec"),
    ("counters.hpp", "exec"),
    ("deadline.hpp", "exec"),
    ("dump.hpp", "exec"),
    ("generator.hpp", "exec"),
    ("guest.hpp", "exec"),
    ("guests/*.hpp", "exec"),
    ("hosted.hpp", "exec"),
    ("hosts/*.hpp", "exec"),
    ("nop.hpp", "exec"),
    ("race.hpp", "exec"),
    ("runtime.hpp", "exec"),
    ("shield.hpp", "exec"),
    ("spawn_anywhere.hpp", "exec"),
    ("spawn.hpp", "exec"),
    ("stop.hpp", "exec"),
    ("stream.hpp", "stream"),
    ("stream/*.hpp", "stream"),
    ("task.hpp", "exec"),
    ("task_group.hpp", "exec"),
    ("task_local.hpp", "exec"),
    ("this_task.hpp", "exec"),
    ("time.hpp", "exec"),
    ("timeout.hpp", "exec"),
    ("trace.hpp", "exec"),
    ("when_all.hpp", "exec"),
    ("detail/channel_state.hpp", "sync"),
    ("detail/permit_queue.hpp", "sync"),
    ("detail/sync_lock.hpp", "sync"),
    ("detail/sync_waiter.hpp", "sync"),
    ("detail/value_queue.hpp", "sync"),
    ("detail/wait_queue.hpp", "sync"),
    ("event.hpp", "sync"),
    ("sync.hpp", "sync"),
    ("sync/*.hpp", "sync"),
    ("shards.hpp", "shards"),
    ("detail/file_ref.hpp", "fs"),
    ("detail/rw.hpp", "fs"),
    ("detail/rw_nowait.hpp", "base"),
    ("link.hpp", "exec"),
    ("fs.hpp", "fs"),
    ("fs/*.hpp", "fs"),
    ("proc.hpp", "proc"),
    ("proc/*.hpp", "proc"),
    ("sim/disk.hpp", "kernel"),
    ("sim/faults.hpp", "kernel"),
    ("sim/network.hpp", "kernel"),
    ("sim/options.hpp", "kernel"),
    ("sim.hpp", "sim"),
    ("sim/*.hpp", "sim"),
]
# Public headers that include a foreign library's: pattern -> its pkg-config module, or a header of it
# where it has none. They compile only where that is there.
FOREIGN = [
    ("*/libuv.hpp", "libuv"),
    ("*/glib.hpp", "glib-2.0"),
    ("*/sd_event.hpp", "libsystemd"),
    ("*/asio.hpp", "boost/asio.hpp"),
]
UMBRELLA = "parkring.hpp"  # includes every public header, and no header or source includes it

PUBLIC_ONLY = ("examples", "lab", "tools")  # users of the library: no private and no detail header
COROUTINE_FREE = {"base", "kernel", "ring", "op", "buf", "park"}
KERNEL_LAYERS = {"kernel", "ring"}
KERNEL_HEADER = re.compile(r"^(linux/|asm/|asm-generic/|sys/syscall\.h$|syscall\.h$|liburing)")
KERNEL_FREE = ("include", "src", "examples", "tools")  # the lab compares with kernel and liburing

MAX_LINES, NOTED_LINES = 600, 400
SECTIONS = ("Completes when", "Owns", "Thread", "Drop", "Errors")
FORBIDDEN = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX)\b")
TEXT = {".cpp", ".hpp", ".h", ".py", ".md", ".cmake", ".txt", ".json", ".in", ".sh", ""}
CODE = {".cpp", ".hpp", ".h", ".py"}
SKIPPED = {".git", "build", "__pycache__", ".cache"}

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)


def missing_sections(doc):
    return [s for s in SECTIONS if not re.search(rf"\b{s}\b", doc)]


class Repository:
    def __init__(self, root, layers=None, public=None, accepted=None):
        self.root = pathlib.Path(root)
        self.layers = LAYERS if layers is None else layers
        self.public = PUBLIC if public is None else public
        self.accepted = ACCEPTED if accepted is None else accepted
        self.problems, self.notes = [], []
        self.used_exceptions = set()

    def problem(self, path, line, text):
        self.problems.append(f"{path}:{line}: {text}" if line else f"{path}: {text}")

    def files(self):
        """Every file of the tree, as a path relative to the root."""
        for folder, subfolders, names in os.walk(self.root):
            subfolders[:] = sorted(set(subfolders) - SKIPPED)
            for name in sorted(names):
                yield (pathlib.Path(folder) / name).relative_to(self.root)

    def read(self, path):
        return (self.root / path).read_text(encoding="utf-8", errors="replace")

    # --- Layers -----------------------------------------------------------------------------------
    def public_layer(self, name):
        return next((layer for pattern, layer in self.public if fnmatch.fnmatchcase(name, pattern)),
                    None)

    def layer(self, path):
        """The layer of a source or public header, or None when it is in none."""
        parts = path.parts
        if parts[0] == "src" and len(parts) > 2:
            return parts[1] if parts[1] in self.layers else None
        if parts[:2] == ("include", "parkring"):
            return self.public_layer("/".join(parts[2:]))
        return None

    def target(self, path, mark, name):
        """The file of this project that an #include line names, or None for a foreign one."""
        places = [pathlib.PurePath("include"), pathlib.PurePath("src")]
        if mark == '"':
            places.insert(0, path.parent)
        for place in places:
            candidate = pathlib.PurePath(os.path.normpath(place / name))
            if (self.root / candidate).is_file():
                return candidate
        return None

    def check_includes(self, path):
        text = declarations.without_comments(self.read(path), keep_strings=True)
        top, layer = path.parts[0], self.layer(path)
        umbrella = str(path) == f"include/parkring/{UMBRELLA}"
        if top in ("src", "include") and layer is None and not umbrella:
            self.problem(path, 0, "is in no layer; " + (
                "add this header to PUBLIC in tools/check.py" if top == "include" else
                "put it into a folder of src/ that LAYERS in tools/check.py names"))
            return
        is_test = path.name.endswith("_test.cpp") or top == "tests"
        for match in INCLUDE.finditer(text):
            mark, name = match.groups()
            line = text.count("\n", 0, match.start()) + 1
            if is_test:
                continue
            if KERNEL_HEADER.match(name) and top in KERNEL_FREE and layer not in KERNEL_LAYERS:
                self.problem(path, line, f"<{name}>: kernel headers belong to src/kernel and "
                                         "src/ring; ask those layers for what is needed here")
            elif KERNEL_HEADER.match(name) and top == "include":
                self.problem(path, line, f"<{name}>: no public header includes a kernel header")
            if name == "coroutine" and layer in COROUTINE_FREE:
                self.problem(path, line, f"<coroutine>: {layer} is below exec and knows no coroutines")
            target = self.target(path, mark, name)
            if target is not None:
                self.check_edge(path, line, target)
            elif mark == '"' or name.startswith("parkring/"):
                self.problem(path, line, f'"{name}" is no file of this project; '
                                         "use <...> for headers of others")

    def check_edge(self, path, line, target):
        top, is_private = path.parts[0], target.parts[0] == "src"
        if top in PUBLIC_ONLY:
            if is_private or target.parts[:3] == ("include", "parkring", "detail"):
                if not self.excepted(path, target, top, self.layer(target)):
                    self.problem(path, line, f"{target}: {top}/ uses public headers only")
            return
        if str(target) == f"include/parkring/{UMBRELLA}":
            self.problem(path, line, f"include what is used, not {UMBRELLA}")
            return
        if top == "include" and is_private:
            self.problem(path, line, f"{target}: a public header includes no private header")
            return
        source, goal = self.layer(path), self.layer(target)
        if source is None or goal is None or source == goal or goal in self.layers[source]:
            return
        if not self.excepted(path, target, source, goal):
            allowed = ", ".join(sorted(self.layers[source])) or "nothing but std"
            self.problem(path, line, f"{target}: {source} may not include {goal} (it may include "
                                     f"{allowed}); a new edge needs a decision record")

    def excepted(self, path, target, source, goal):
        for edge in ((a, b) for a in (str(path), source) for b in (str(target), goal)):
            if edge in self.accepted:
                self.used_exceptions.add(edge)
                return True
        return False

    def check_exceptions(self):
        for edge, record in self.accepted.items():
            if not (self.root / record).is_file():
                self.problem("tools/check.py", 0, f"ACCEPTED names {record}, which is not there")
            elif edge not in self.used_exceptions:
                self.notes.append(f"ACCEPTED {edge[0]} -> {edge[1]} is no longer needed")

    # --- One file ---------------------------------------------------------------------------------
    def check_size(self, path):
        lines = self.read(path).count("\n")
        if lines > MAX_LINES:
            self.problem(path, 0, f"{lines} lines; {MAX_LINES} at the most: split it by concept")
        elif lines > NOTED_LINES:
            self.notes.append(f"{path}: {lines} lines")

    def check_words(self, path):
        for number, line in enumerate(self.read(path).splitlines(), 1):
            match = FORBIDDEN.search(line)
            if match:
                self.problem(path, number, f"'{match[0]}': finish it, or describe the limit in words")

    def check_documentation(self, path):
        found = declarations.public_declarations(self.read(path))
        documented = {(d.scope, d.name) for d in found if d.doc}
        told = {d.name for d in found if not missing_sections(d.doc)}
        told_above = {}  # scope -> whether its last block has the sections, or refers to some
        for item in found:
            awaited = item.is_awaitable_function()
            if awaited and not item.doc and (item.scope, item.name) not in documented:
                self.problem(path, item.line, f"{item.name}() is awaited and has no /// block with "
                                              + " · ".join(SECTIONS))
            if not item.doc:
                continue
            missing = missing_sections(item.doc)
            sibling = declarations.sibling_of(item.doc)
            if sibling in told or (sibling == "" and told_above.get(item.scope)):
                missing = []
            told_above[item.scope] = not missing
            if missing and (awaited or "Completes when" in item.doc):
                reason = "" if sibling is None else "; what it refers to has no such sections here"
                self.problem(path, item.line, f"the /// block of {item.name} lacks: "
                                              f"{' · '.join(missing)}{reason}")

    # --- Headers alone ----------------------------------------------------------------------------
    @staticmethod
    def foreign_flags(compiler, name):
        """What a header needs to compile beside a foreign library; None: that is not here."""
        needed = next((n for pattern, n in FOREIGN if fnmatch.fnmatchcase(name, pattern)), None)
        if needed is None:
            return []
        if "/" in needed:
            done = subprocess.run([compiler, "-E", "-x", "c++", "-"], text=True, capture_output=True,
                                  input=f"#include <{needed}>\n", errors="replace")
            return None if done.returncode else []
        try:
            done = subprocess.run(["pkg-config", "--cflags", needed], capture_output=True, text=True)
        except OSError:
            return None
        # Its headers are not ours to warn about.
        return None if done.returncode else [
            flag.replace("-I", "-isystem", 1) if flag.startswith("-I") else flag
            for flag in done.stdout.split()]

    def header_problem(self, compiler, name):
        foreign = self.foreign_flags(compiler, name)
        if foreign is None:
            self.notes.append(f"include/{name} was not compiled: its library is not here")
            return None
        # Twice, so that a missing include guard shows; from a pipe, so that no file is the main one.
        program = f"#include <{name}>\n" * 2
        done = subprocess.run(
            [compiler, "-std=c++23", "-fsyntax-only", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow",
             "-Werror", f"-I{self.root / 'include'}", *foreign, "-x", "c++", "-"],
            input=program, capture_output=True, text=True, errors="replace")
        return done.stderr.strip() if done.returncode else None

    def check_headers(self, compiler):
        folder = self.root / "include"
        names = sorted(str(p.relative_to(folder)) for p in folder.rglob("*.hpp"))
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            results = pool.map(lambda name: self.header_problem(compiler, name), names)
            for name, text in zip(names, results):
                if text:
                    shown = "\n    ".join(text.splitlines()[:12])
                    self.problem(f"include/{name}", 0, f"does not compile alone:\n    {shown}")
        return len(names)

    def check(self, compiler=None):
        """Runs every check; `compiler` None leaves out the compiling of headers."""
        files = 0
        for path in self.files():
            if path.suffix not in TEXT:
                continue
            files += 1
            self.check_words(path)
            if path.suffix in CODE:
                self.check_size(path)
            if path.suffix in {".cpp", ".hpp", ".h"}:
                self.check_includes(path)
            if path.parts[:2] == ("include", "parkring") and path.parts[2] != "detail":
                self.check_documentation(path)
        self.check_exceptions()
        headers = self.check_headers(compiler) if compiler else 0
        return files, headers


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--root", default=pathlib.Path(__file__).resolve().parent.parent)
    parser.add_argument("--compiler", default=os.environ.get("CXX", "g++"))
    parser.add_argument("--no-compile", action="store_true", help="leave out compiling headers alone")
    options = parser.parse_args()
    repository = Repository(options.root)
    files, headers = repository.check(None if options.no_compile else options.compiler)
    for note in repository.notes:
        print(f"note: {note}")
    for problem in repository.problems:
        print(problem)
    print(f"{files} files, {headers} headers compiled alone: {len(repository.problems)} problems")
    return 1 if repository.problems else 0


if __name__ == "__main__":
    sys.exit(main())
