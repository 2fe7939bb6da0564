#!/usr/bin/env python3
"""Checks that a misuse of the library does not compile, and that its corrected twin does.

NAME.cpp must be refused by the compiler; NAME_fixed.cpp beside it must be accepted with the same
flags. When the first line of NAME.cpp is `// expect: REGEX`, the compiler's output must match it, so
that the file is not refused for some other reason.
"""

import argparse
import pathlib
import re
import subprocess
import sys

FLAGS = ["-std=c++23", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-fno-diagnostics-color"]


def compile_file(compiler, include, source):
    command = [compiler, *FLAGS, *(f"-I{folder}" for folder in include), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    return done.returncode, done.stdout + done.stderr


def problems(compiler, include, source):
    """What is wrong with one pair, as a list of sentences."""
    found = []
    fixed = source.with_name(source.stem + "_fixed.cpp")
    if not fixed.exists():
        return [f"{fixed} is missing: each misuse needs the corrected twin that compiles"]

    status, output = compile_file(compiler, include, source)
    first_line = source.read_text().split("\n", 1)[0]
    expected = re.match(r"// expect: *(.+?) *$", first_line)
    if status == 0:
        found.append(f"{source} compiles, and must not")
    elif status < 0:
        found.append(f"the compiler died on {source} with signal {-status}")
    elif re.search(r"No such file|file not found|internal compiler error", output):
        found.append(f"{source} is refused for another reason:\n{output}")
    elif expected and not re.search(expected[1], output):
        found.append(f"the message for {source} does not match /{expected[1]}/:\n{output}")

    status, output = compile_file(compiler, include, fixed)
    if status != 0:
        found.append(f"{fixed} must compile, and does not:\n{output}")
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--compiler", default="g++")
    parser.add_argument("--include", action="append", default=[])
    parser.add_argument("source", type=pathlib.Path)
    options = parser.parse_args()
    found = problems(options.compiler, options.include, options.source)
    print("\n".join(found) if found else f"{options.source.name}: refused, and its twin compiles")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
