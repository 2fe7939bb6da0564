#!/usr/bin/env python3
"""Checks that a misuse of the library does not compile, and that its corrected twin does.

NAME.cpp must be refused by the compiler; NAME_fixed.cpp beside it must be accepted with the same
flags. When the first line of NAME.cpp is `// expect: REGEX`, the compiler's output must match it, so
that the file is not refused for some other reason.

With --prepare FOLDER it precompiles what all of them include, into FOLDER, which the checks then
take with --prepared FOLDER. A compiler that cannot use it reads the header instead.
"""

import argparse
import pathlib
import re
import subprocess
import sys

FLAGS = ["-std=c++23", "-Wall", "-Wextra", "-Werror", "-fno-diagnostics-color"]
HEADER = "misuse.hpp"


def run_compiler(compiler, include, *arguments):
    command = [compiler, *FLAGS, *(f"-I{folder}" for folder in include), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    return done.returncode, done.stdout + done.stderr


def prepare(compiler, include, folder):
    """Precompiles the header; what is wrong with it, as a list of sentences."""
    folder.mkdir(parents=True, exist_ok=True)
    header = folder / HEADER
    header.write_text("#include <parkring/parkring.hpp>\n")
    # Under another name until it is whole: the one before is in use, if another run is under way.
    fresh = folder / f"{HEADER}.new"
    status, output = run_compiler(compiler, include, "-x", "c++-header", header, "-o", fresh)
    if status != 0:
        return [f"{header} must compile, and does not:\n{output}"]
    fresh.replace(folder / f"{HEADER}.gch")
    return []


def compile_file(compiler, include, source, prepared=None):
    header = ["-include", prepared / HEADER] if prepared else []
    return run_compiler(compiler, include, "-fsyntax-only", *header, source)


def problems(compiler, include, source, prepared=None):
    """What is wrong with one pair, as a list of sentences."""
    found = []
    fixed = source.with_name(source.stem + "_fixed.cpp")
    if not fixed.exists():
        return [f"{fixed} is missing: each misuse needs the corrected twin that compiles"]

    status, output = compile_file(compiler, include, source, prepared)
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

    status, output = compile_file(compiler, include, fixed, prepared)
    if status != 0:
        found.append(f"{fixed} must compile, and does not:\n{output}")
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--compiler", default="g++")
    parser.add_argument("--include", action="append", default=[])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--prepare", metavar="FOLDER", type=pathlib.Path)
    what.add_argument("source", nargs="?", type=pathlib.Path)
    parser.add_argument("--prepared", metavar="FOLDER", type=pathlib.Path)
    options = parser.parse_args()
    if options.prepare:
        found = prepare(options.compiler, options.include, options.prepare)
        good = "the header is precompiled"
    else:
        found = problems(options.compiler, options.include, options.source, options.prepared)
        good = f"{options.source.name}: refused, and its twin compiles"
    print("\n".join(found) if found else good)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
