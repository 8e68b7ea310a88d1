"""The tree stands alone and is in order.

usage: tree.py ROOT | --self-test

No absolute path of a machine, no package registry's host, no source past 800
lines and no example past 150, no unfinished mark, every script runnable, every
source and test file named in its folder's CMakeLists.txt (else nobody would
notice its absence), and every file that a document names there.
"""

import fnmatch
import os
import re
import sys
import tempfile

import layers

# In pieces, so that this file does not complain of itself.
HOSTS = ["deb." + "debian.org", "security." + "debian.org", "snapshot." + "debian.org",
         "registry." + "npmjs.org", "py" + "pi.org", "files." + "pythonhosted.org",
         "proxy." + "golang.org", "docker" + ".io", "releases." + "hashicorp.com"]
PATHS = re.compile(r"(^|[^A-Za-z0-9_./}:-])/(work|home|root|Users|mnt|media)" + r"/")
MARKS = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b")
TOO_LONG = 800
EXAMPLE = 150  # one idea each
# `folder/file.c` and `file.c` in backquotes; a * stands for some of a name.
NAMED = re.compile(r"`((?:[\w.*-]+/)*[\w.*-]+\.(?:c|h|py|proto))`")
USERS = {"server.c", "client.c", "helloworld.proto"}  # the README's reader writes them


def check_text(path, text):
    said = []
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        if PATHS.search(line):
            said.append((number, "an absolute path of somebody's machine"))
        if MARKS.search(line):
            said.append((number, "an unfinished mark"))
        if line != line.rstrip() and not path.endswith(".md"):
            said.append((number, "blanks at the end of the line"))
        for host in HOSTS:
            if host in line:
                said.append((number, f"names the host {host}"))
    limit = EXAMPLE if path.startswith("examples/") else TOO_LONG
    if path.endswith((".c", ".h")) and len(lines) > limit:
        said.append((len(lines), f"longer than {limit} lines: wants to be two files"))
    if text and not text.endswith("\n"):
        said.append((len(lines), "no newline at the end"))
    return [f"{path}:{number}: {what}" for number, what in said]


def build_files(root):
    """Folder: text of its CMakeLists.txt."""
    found = {}
    for path in layers.files(root, "CMakeLists.txt"):
        with open(os.path.join(root, path), encoding="utf-8") as text:
            found[os.path.dirname(path)] = text.read()
    return found


def check_listed(build, path):
    """A C file is part of the build only if a CMakeLists.txt says so: its folder's
    (or the next one above) by name, any other by folder and name."""
    folder, name = os.path.split(path)
    if layers.within(folder, "test/project/preludes"):
        return []  # for script/snippets
    lists = folder
    while lists not in build and lists:
        lists = os.path.dirname(lists)
    if re.search(rf"\b{re.escape(name[:-2])}\b", build.get(lists, "")):
        return []
    elsewhere = f"{os.path.basename(folder)}/{name}"
    if any(elsewhere in text for text in build.values()):
        return []
    return [f"{path}:1: not in {os.path.join(lists, 'CMakeLists.txt')}"]


def check_named(files, path, text):
    """A file that a document names is there: with its folder at the top of the
    tree, without one anywhere."""
    said = []
    for number, line in enumerate(text.splitlines(), 1):
        for name in NAMED.findall(line):
            if name not in USERS and not any(
                    fnmatch.fnmatchcase(f if "/" in name else os.path.basename(f), name)
                    for f in files):
                said.append(f"{path}:{number}: there is no {name}")
    return said


def check(root):
    said, count, build = [], 0, build_files(root)
    files = list(layers.files(root))
    for path in files:
        full = os.path.join(root, path)
        with open(full, "rb") as raw:
            data = raw.read()
        if b"\0" in data:
            continue
        count += 1
        said += check_text(path, data.decode("utf-8"))
        if path.endswith(".c"):
            said += check_listed(build, path)
        if path.endswith(".md"):
            said += check_named(files, path, data.decode("utf-8"))
        if data.startswith(b"#!") and not os.access(full, os.X_OK):
            said.append(f"{path}:1: a script without the run bit")
    return said, count


def self_test():
    good = {"a/CMakeLists.txt": "add(x.c)\n", "a/x.c": "int x; /* see /usr/include */\n"}
    wrong = [
        ("a/y.c", "int y;\n", "a/y.c:1: not in a/CMakeLists.txt"),
        ("a/x.c", "\n/* /ho" + "me/me/x */\n", "a/x.c:2: an absolute path"),
        ("b.md", "curl " + HOSTS[0] + "\n", "b.md:1: names the host"),
        ("a/x.c", "// TO" + "DO later\n", "a/x.c:1: an unfinished mark"),
        ("a/x.c", "int x; \n", "a/x.c:1: blanks"),
        ("a/x.c", "int x;", "a/x.c:1: no newline"),
        ("a/x.h", "\n" * 801, "a/x.h:801: longer than 800 lines"),
        ("examples/x.h", "\n" * 151, "examples/x.h:151: longer than 150 lines"),
        ("b.md", "see `a/x.c`,\n`x.c`, `a/*.c` and `a/y.c`\n", "b.md:2: there is no a/y.c"),
        ("b.md", "see `y.c`\n", "b.md:1: there is no y.c"),
        ("run", "#!/bin/sh\n", "run:1: a script without the run bit"),
    ]
    failures = 0
    for path, text, expected in [(None, None, None)] + wrong:
        with tempfile.TemporaryDirectory() as root:
            for name, content in {**good, **({path: text} if path else {})}.items():
                os.makedirs(os.path.dirname(os.path.join(root, name)), exist_ok=True)
                with open(os.path.join(root, name), "w", encoding="utf-8") as out:
                    out.write(content)
            said = check(root)[0]
        if (expected is None and said) or \
                (expected and (len(said) != 1 or not said[0].startswith(expected))):
            print(f"expected {expected}, said {said}")
            failures += 1
    print(f"{1 + len(wrong)} cases, {failures} failures")
    return failures


def main():
    if sys.argv[1] == "--self-test":
        sys.exit(1 if self_test() else 0)
    said, count = check(sys.argv[1])
    print(*said, sep="\n", end="\n" if said else "")
    print(f"{count} files, {len(said)} against the rules")
    sys.exit(1 if said or count == 0 else 0)


main()
