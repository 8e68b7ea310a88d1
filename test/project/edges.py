"""A wrong include does not compile, a right one is found.

usage: edges.py ROOT BUILD_DIR

For each pair of layers, with the very flags with which the build compiles the
first one's files: the second one's headers are found if, and only if, layers.py
allows the edge.
"""

import json
import os
import shlex
import subprocess
import sys

import layers


def flags_of(commands, root, layer):
    """Compiler and include flags of a file of the layer, or None."""
    for command in commands:
        path = os.path.relpath(command["file"], root)
        if not layers.within(path, layer):
            continue
        words = shlex.split(command["command"])
        kept, wanted = [words[0]], False
        for word in words[1:]:
            if wanted or word.startswith(("-I", "-D", "-std=")):
                kept.append(word)
                wanted = False
            elif word == "-isystem":
                kept.append(word)
                wanted = True
        return kept
    return None


def finds(flags, header):
    run = subprocess.run([*flags, "-x", "c", "-fsyntax-only", "-"],
                         input=f"#include <{header}>\n", capture_output=True, text=True)
    if run.returncode != 0 and f"{header}: No such file" not in run.stderr \
            and f"'{header}' file not found" not in run.stderr:
        sys.exit(f"<{header}> is found, but does not compile:\n{run.stderr}")
    return run.returncode == 0


def main():
    root, build = sys.argv[1:]
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as text:
        commands = json.load(text)
    failures = count = 0
    for layer, below in layers.LAYERS.items():
        flags = flags_of(commands, root, layer)
        if flags is None:
            print(f"{layer}: the build compiles no file of it")
            failures += 1
            continue
        for other in layers.LAYERS:
            for kind in ("include", "internal"):
                for header in layers.headers(root, other, kind)[:1]:
                    wanted = other == layer or other in below
                    count += 1
                    if finds(flags, header) != wanted:
                        print(f"{layer}: <{header}> of {other} "
                              f"{'is not found' if wanted else 'compiles, but must not'}")
                        failures += 1
    print(f"{count} edges, {failures} failures")
    sys.exit(1 if failures or count == 0 else 0)


main()
