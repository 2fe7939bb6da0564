"""Finds the public declarations of a C++ header, with their documentation.

Not a parser: it follows braces, parentheses and access specifiers, which is enough for headers in
this project's style. What it does not understand it leaves out.
"""

import dataclasses
import re

ACCESS = re.compile(r"^\s*(public|protected|private)\s*$")
AWAITABLE = re.compile(r"\b(\w+_(operation|awaitable|awaiter)|task)\b")
NOT_AWAITED = re.compile(r"^(operator\b|await_|get_return_object|return_|yield_value|\w*suspend$)")


@dataclasses.dataclass
class Declaration:
    line: int
    scope: str
    name: str
    returns: str  # empty for what is not a function
    doc: str

    def is_awaitable_function(self):
        return bool(self.returns and AWAITABLE.search(self.returns)
                    and not NOT_AWAITED.match(self.name))


def without_comments(text, keep_strings=False):
    """The text with comments, and on demand the inside of strings, turned into blanks."""
    pattern = re.compile(
        r'//[^\n]*|/\*.*?\*/|R"(?P<d>[^(\s]*)\(.*?\)(?P=d)"|"(?:\\.|[^"\\\n])*"'
        r"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'", re.DOTALL)

    def blank(match):
        found = match[0]
        if keep_strings and not found.startswith("/"):
            return found
        return re.sub(r"[^\n]", " ", found)

    return pattern.sub(blank, text)


def doc_blocks(text):
    """Line number of the last line of each /// block -> its text."""
    blocks, current = {}, []
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if stripped.startswith("///"):
            current.append(stripped[3:].strip())
        elif current:
            blocks[number - 1] = "\n".join(current)
            current = []
    return blocks


def sibling_of(doc):
    """The declaration a block refers to for its sections: a name from "As `name`", "" from
    "As above", None when it refers to none."""
    match = re.search(r"\bAs (?:(above)\b|`(\w+))", doc)
    return None if match is None else match[2] or ""


def without_angles(text):
    """The text without template argument lists: `task<int> f` becomes `task f`."""
    previous = None
    while previous != text:
        previous = text
        text = re.sub(r"(?<![<\-])<(?![<=])[^<>;()]*(?:\([^()]*\)[^<>;()]*)*>", " ", text)
    return text


def split_function(statement):
    """(name, return type) of a declaration; the return type is empty for anything but a function."""
    text = re.sub(r"\[\[.*?\]\]", " ", statement, flags=re.DOTALL)
    text = without_angles(text)
    text = re.sub(r"^\s*(template|requires\s+[\w:]+(\s*(&&|\|\|)\s*[\w:]+)*\s*\n)\s*", " ", text)
    kind = re.match(r"\s*(?:template\s+)?(?:class|struct|union|enum(?:\s+class)?|concept)\s+(\w+)", text)
    if kind:
        return kind[1], ""
    head, parenthesis, tail = text.partition("(")
    named = re.search(r"(operator\s*\S+|operator\s+co_await|~?\w+)\s*$", head)
    if not parenthesis or not named or "=" in head or re.match(r"\s*(using|typedef|friend)\b", head):
        word = re.search(r"(\w+)\s*(=.*)?$", text.strip(), re.DOTALL)
        return (word[1] if word else "?"), ""
    trailing = re.search(r"\)[^()]*->\s*(.+)$", tail, re.DOTALL)
    returns = head[:named.start()] + (" " + trailing[1] if trailing else "")
    return named[1], returns.strip()


def public_declarations(text):
    """What users of the header may name: declarations outside of function bodies, not private."""
    docs = doc_blocks(text)
    code = without_comments(text)
    code = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda m: re.sub(r"[^\n]", " ", m[0]), code,
                  flags=re.MULTILINE)
    found = []
    stack = []  # [kind, name, visible] for each open brace
    statement, start, round_brackets, line = "", 0, 0, 1

    def visible():
        return all(scope[2] for scope in stack)

    def declare():
        if not statement.strip() or not visible():
            return
        name, returns = split_function(statement)
        scope = "::".join(entry[1] for entry in stack)
        found.append(Declaration(start, scope, name, returns, docs.get(start - 1, "")))

    for character in code:
        if character == "\n":
            line += 1
        if not statement.strip() and not character.isspace():
            start = line
        if character in "()":
            round_brackets += 1 if character == "(" else -1
        if round_brackets > 0 or character not in "{};:":
            statement += character
            continue
        if character == ":":
            if ACCESS.match(statement) and stack:
                stack[-1][2] = statement.strip() == "public"
                statement = ""
            else:
                statement += character
        elif character == ";":
            declare()
            statement = ""
        elif character == "{":
            stack.append(open_scope(statement, declare))
            statement = ""
        else:
            if stack:
                stack.pop()
            statement = ""
    return found


def open_scope(statement, declare):
    plain = without_angles(re.sub(r"\[\[.*?\]\]", " ", statement, flags=re.DOTALL))
    space = re.match(r"\s*(?:inline\s+)?namespace\b\s*([\w:]*)", plain)
    if space:
        return ["namespace", space[1], bool(space[1]) and "detail" not in space[1]]
    declare()
    kind = re.match(r"\s*(?:template\s+)?(?:requires\b[^;{]*?\s)?(class|struct|union)\s+(\w+)", plain)
    if kind:
        return ["class", kind[2], True if kind[1] != "class" else False]
    return ["body", "", False]
