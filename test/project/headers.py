"""Compiles each public header alone, as C11 and as C++17.

usage: headers.py ROOT COMPILER...    (a name that ends in ++ gets C++17)
"""

import concurrent.futures
import os
import subprocess
import sys

import layers


def flags(root):
    found = []
    for layer in layers.LAYERS:
        found.append("-I" + os.path.join(root, layer, "include"))
    packages = subprocess.run(
        ["pkg-config", "--cflags", "libevent_core", "libprotobuf-c"],
        capture_output=True, text=True, check=True)
    return found + packages.stdout.split()


def compile_alone(job):
    compiler, header, options = job
    language, standard = ("c++", "c++17") if compiler.endswith("++") else ("c", "c11")
    # Twice: the guard must hold.
    source = f"#include <{header}>\n#include <{header}>\n"
    run = subprocess.run(
        [compiler, f"-std={standard}", "-x", language, "-fsyntax-only", "-Wall", "-Wextra",
         "-Wpedantic", "-Wno-variadic-macros", "-Werror", *options, "-"],
        input=source, capture_output=True, text=True)
    if run.returncode == 0:
        return None
    return f"<{header}> alone with {compiler} -std={standard}:\n{run.stderr}"


def main():
    root, *compilers = sys.argv[1:]
    options = flags(root)
    jobs = [(compiler, header, options)
            for layer in layers.LAYERS
            for header in layers.headers(root, layer, "include")
            for compiler in compilers]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        failures = [why for why in pool.map(compile_alone, jobs) if why]
    print(*failures, sep="\n", end="")
    print(f"{len(jobs)} compilations, {len(failures)} failures")
    sys.exit(1 if failures or not jobs else 0)


main()
