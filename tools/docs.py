#!/usr/bin/env python3
"""Checks the documents: quotes of examples are exact, links between files lead somewhere.

A code block that quotes an example stands below a marker with the example's path:

    <!-- example: examples/01_read_a_file.cpp -->
    ```cpp
    ...
    ```

`// test-args:` lines, which are for the test run, are not quoted. --fix renews every quote.

A block that quotes only some consecutive lines of a file, an example or a test, stands below

    <!-- excerpt: tests/guide/guide_test.cpp -->
"""

import argparse
import os
import pathlib
import re
import sys
import textwrap

SKIPPED = {".git", "build", "__pycache__", ".cache"}
QUOTE = re.compile(r"(?P<marker>^<!-- example: *(?P<path>\S+) *-->[ \t]*\n)"
                   r"(?P<block>\n*```[^\n]*\n(?P<text>.*?)^```[ \t]*$)?", re.MULTILINE | re.DOTALL)
EXCERPT = re.compile(r"^<!-- excerpt: *(?P<path>\S+) *-->[ \t]*\n\n*```[^\n]*\n(?P<text>.*?)^```[ \t]*$",
                     re.MULTILINE | re.DOTALL)
FENCE = re.compile(r"^(```|~~~).*?^\1[ \t]*$", re.MULTILINE | re.DOTALL)
CODE_SPAN = re.compile(r"`[^`\n]*`")
LINK = re.compile(r"\[[^\]\[]*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
REFERENCE = re.compile(r"^\[[^\]]+\]:[ \t]*(\S+)", re.MULTILINE)


def markdown_files(root):
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = sorted(set(subfolders) - SKIPPED)
        yield from (pathlib.Path(folder) / n for n in sorted(names) if n.endswith(".md"))


def example_text(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if not line.startswith("// test-args:")).strip("\n") + "\n"


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def check_quotes(root, path, text, problems):
    """Adds what is wrong to `problems`; returns the text with every quote renewed."""
    def renewed(match):
        place = f"{path.relative_to(root)}:{line_of(text, match.start())}"
        example = root / match["path"]
        if not example.is_file():
            problems.append(f"{place}: {match['path']} is not there")
            return match[0]
        wanted = example_text(example)
        if match["text"] != wanted:
            problems.append(f"{place}: the block differs from {match['path']}; ./dev docs --fix")
        end = "" if match["block"] else "\n"
        return f"{match['marker']}```cpp\n{wanted}```{end}"

    return QUOTE.sub(renewed, text)


def has_lines(text, wanted):
    """Whether the lines of `wanted` stand together in `text`, however deep they are indented."""
    lines, excerpt = text.splitlines(), textwrap.dedent(wanted).splitlines()
    count = len(excerpt)
    return any(textwrap.dedent("\n".join(lines[i:i + count])).splitlines() == excerpt
               for i in range(len(lines) - count + 1))


def check_excerpts(root, path, text, problems):
    for match in EXCERPT.finditer(text):
        place = f"{path.relative_to(root)}:{line_of(text, match.start())}"
        source = root / match["path"]
        if not source.is_file():
            problems.append(f"{place}: {match['path']} is not there")
        elif not has_lines(source.read_text(encoding="utf-8"), match["text"]):
            problems.append(f"{place}: {match['path']} has no such lines")


def anchor(heading):
    """The name by which GitHub lets one link to a heading."""
    plain = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


def anchors(path):
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    found, counts = set(), {}
    for heading in re.findall(r"^#{1,6}[ \t]+(.+?)[ \t]*#*$", text, re.MULTILINE):
        name = anchor(heading)
        found.add(f"{name}-{counts[name]}" if name in counts else name)
        counts[name] = counts.get(name, 0) + 1
    return found | set(re.findall(r"<a (?:id|name)=\"([^\"]+)\"", text))


def check_links(root, path, text, problems):
    blanked = FENCE.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), text)
    blanked = CODE_SPAN.sub(lambda m: " " * len(m[0]), blanked)
    for pattern in (LINK, REFERENCE):
        for match in pattern.finditer(blanked):
            link = match[1]
            if re.match(r"[a-z][a-z0-9+.-]*:", link):
                continue
            name, _, fragment = link.partition("#")
            target = (path.parent / name) if name else path
            place = f"{path.relative_to(root)}:{line_of(text, match.start())}"
            if not target.exists():
                problems.append(f"{place}: the link {link} leads nowhere")
            elif fragment and target.suffix == ".md" and fragment not in anchors(target):
                problems.append(f"{place}: {name or 'this file'} has no heading #{fragment}")


def check(root, fix=False):
    """(problems, files looked at, files changed)"""
    problems, looked_at, changed = [], 0, []
    for path in markdown_files(root):
        looked_at += 1
        text = path.read_text(encoding="utf-8")
        quotes = []
        renewed = check_quotes(root, path, text, quotes)
        if fix and renewed != text:
            path.write_text(renewed, encoding="utf-8")
            changed.append(path)
            text, quotes = renewed, []
            check_quotes(root, path, text, quotes)
        problems += quotes
        check_excerpts(root, path, text, problems)
        check_links(root, path, text, problems)
    return problems, looked_at, changed


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--root", type=pathlib.Path,
                        default=pathlib.Path(__file__).resolve().parent.parent)
    parser.add_argument("--fix", action="store_true", help="renew the quotes of examples")
    options = parser.parse_args()
    problems, looked_at, changed = check(options.root, options.fix)
    for path in changed:
        print(f"renewed: {path.relative_to(options.root)}")
    print(*problems, sep="\n", end="\n" if problems else "")
    print(f"{looked_at} documents: {len(problems)} problems")
    if not problems:
        print("Read README.md first, then docs/guide/; ARCHITECTURE.md and docs/decisions/ for the why.")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
