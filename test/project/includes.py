"""Checks every #include of the tree against the table in layers.py.

usage: includes.py ROOT | --self-test

The build already refuses a header of a layer above.  This also sees what include
paths cannot forbid: system and third-party headers, and ways round by "../".
"""

import os
import re
import sys
import tempfile

import layers

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


class Tree:
    def __init__(self, root):
        self.root = root
        self.public, self.internal = {}, {}
        for layer in layers.LAYERS:
            for name in layers.headers(root, layer, "include"):
                self.public[name] = layer
            for name in layers.headers(root, layer, "internal"):
                self.internal[name] = layer

    def has(self, *parts):
        return os.path.isfile(os.path.join(self.root, *parts))


def visible(path):
    """(layers whose public headers path may include, …whose internal ones, the
    layer whose private ones)"""
    layer = layers.layer_of(path)
    if layer:
        below = [layer] + layers.LAYERS[layer]
        # A public header must do with public ones.
        return below, [] if within_public(path, layer) else below, layer
    for folder, tested in layers.TESTED.items():
        if layers.within(path, folder):
            return list(layers.LAYERS), [tested] + layers.LAYERS[tested], tested
    return list(layers.LAYERS), [], None


def within_public(path, layer):
    return layers.within(path, layer + "/include")


def check_weft(tree, path, header):
    public, internal, _ = visible(path)
    if header in tree.public:
        owner = tree.public[header]
        if owner not in public:
            return f"<{header}> is of {owner}, a layer above"
        return None
    if header in tree.internal:
        owner = tree.internal[header]
        if owner not in internal:
            return f"<{header}> is internal to {owner}"
        return None
    return f"<{header}> does not exist"


def check_quoted(tree, path, header):
    folder = os.path.dirname(path)
    _, _, private = visible(path)
    places = [folder, "test/support"] + ([private] if private else [])
    if layers.layer_of(path):
        places = [folder, private]
    if any(tree.has(place, header) for place in places):
        return None
    if header.endswith(".pb-c.h") and not layers.layer_of(path):
        return None
    # What tests share lies beside one of them.
    if layers.within(path, "test") and any(tree.has(folder, header) for folder in layers.TESTED):
        return None
    # And what benchmarks share.
    if layers.within(path, "bench") and tree.has("bench/echo", header):
        return None
    return f'"{header}" is neither in {folder} nor in {private or "test/support"}'


def check_foreign(path, header):
    layer = layers.layer_of(path)
    library = layer is not None
    if library and within_public(path, layer) and header not in layers.SYSTEM \
            and not header.startswith(tuple(layers.PUBLIC_THIRD_PARTY)):
        return f"<{header}> does not belong in a public header"
    for table in (layers.THIRD_PARTY, layers.LINUX_ONLY):
        for prefix, places in table.items():
            if header.startswith(prefix):
                if not library or any(layers.within(path, place) for place in places):
                    return None
                return f"<{header}> is only for {', '.join(places)}"
    if library and header not in layers.SYSTEM:
        return f"<{header}> is no header of C11 or POSIX, and not in the table of layers.py"
    return None


def check_line(tree, path, quote, header):
    if ".." in header.split("/"):
        return f'"{header}" climbs out of its folder'
    if header.startswith("weft/"):
        return check_weft(tree, path, header)
    if quote == '"':
        return check_quoted(tree, path, header)
    return check_foreign(path, header)


def check(root):
    tree, complaints, count = Tree(root), [], 0
    for path in layers.files(root, ".c", ".h"):
        with open(os.path.join(root, path), encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                found = INCLUDE.match(line)
                if not found:
                    continue
                count += 1
                why = check_line(tree, path, *found.groups())
                if why:
                    complaints.append(f"{path}:{number}: {why}")
    return complaints, count


SELF_TEST = {
    "core/base/include/weft/loop.h": ["<stddef.h>"],
    "core/base/internal/weft/buf.h": ["<weft/loop.h>"],
    "core/base/loop.c": ["<event2/event.h>", '"loop_internal.h"'],
    "core/base/loop_internal.h": [],
    "core/base/sys.c": ["<sys/eventfd.h>"],
    "transport/conn.c": ["<weft/buf.h>", "<event2/event.h>"],
    "transport/http_server.c": ["<evhtp.h>"],
    "balancer/include/weft/balancer.h": ["<weft/loop.h>"],
    "balancer/policy.c": ["<uthash.h>"],
    "test/base/loop_test.c": ["<weft/buf.h>", '"loop_internal.h"', '"support.h"', "<cmocka.h>"],
    "test/support/support.h": ["<cmocka.h>"],
    "examples/hello.c": ["<weft/balancer.h>", '"hello.pb-c.h"', "<event2/event.h>"],
}

# Added one at a time: each must be complained of.
SELF_TEST_WRONG = [
    ("core/base/loop.c", "<weft/balancer.h>", "a layer above"),
    ("core/base/include/weft/loop.h", "<weft/buf.h>", "is internal to core/base"),
    ("balancer/include/weft/balancer.h", "<event2/event.h>", "not belong in a public header"),
    ("balancer/include/weft/balancer.h", "<uthash.h>", "not belong in a public header"),
    ("balancer/policy.c", "<event2/event.h>", "is only for core/base, transport"),
    ("balancer/include/weft/balancer.h", "<weft/none.h>", "does not exist"),
    ("transport/conn.c", "<evhtp.h>", "is only for transport/http_server.c"),
    ("transport/conn.c", "<event2/http.h>", "is only for transport/http_client.c"),
    ("transport/conn.c", "<sys/epoll.h>", "is only for core/base/sys.c"),
    ("transport/conn.c", "<cmocka.h>", "is no header of C11 or POSIX"),
    ("transport/conn.c", '"../core/base/loop_internal.h"', "climbs out"),
    ("transport/conn.c", '"loop_internal.h"', "is neither in transport nor in transport"),
    ("examples/hello.c", "<weft/buf.h>", "is internal to core/base"),
    ("test/base/loop_test.c", '"conn_internal.h"', "is neither in test/base"),
]


def self_test():
    failures = 0

    def run(extra):
        with tempfile.TemporaryDirectory() as root:
            for path, includes in SELF_TEST.items():
                os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
                lines = includes + [i for p, i, _ in extra if p == path]
                with open(os.path.join(root, path), "w", encoding="utf-8") as out:
                    out.writelines(f"#include {include}\n" for include in lines)
            return check(root)[0]

    good = run([])
    if good:
        print("complained of a good tree:", *good, sep="\n  ")
        failures += 1
    for wrong in SELF_TEST_WRONG:
        said = run([wrong])
        line = len(SELF_TEST[wrong[0]]) + 1
        if len(said) != 1 or not said[0].startswith(f"{wrong[0]}:{line}: ") or wrong[2] not in said[0]:
            print(f"{wrong}: said {said}")
            failures += 1
    print(f"{1 + len(SELF_TEST_WRONG)} cases, {failures} failures")
    return failures


def main():
    if sys.argv[1] == "--self-test":
        sys.exit(1 if self_test() else 0)
    complaints, count = check(sys.argv[1])
    print(*complaints, sep="\n", end="\n" if complaints else "")
    print(f"{count} includes, {len(complaints)} against the rules")
    sys.exit(1 if complaints or count == 0 else 0)


main()
