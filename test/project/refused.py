"""Names that would become broken C are refused: file, line and advice.

usage: refused.py PROTOC PLUGIN FILE.proto...

Each file says in comments, on the line itself, what must be said of it:
`// refused: TEXT` and `// noted: TEXT`.  Lines without must not be mentioned.
"""

import os
import re
import subprocess
import sys
import tempfile


def expected(path):
    wanted = {}
    for number, line in enumerate(open(path, encoding="utf-8"), 1):
        found = re.search(r"// (refused|noted): (.*)$", line)
        if found:
            wanted[number] = (found.group(1), found.group(2).strip())
    return wanted


def check(protoc, plugin, path):
    folder, name = os.path.split(path)
    with tempfile.TemporaryDirectory() as out:
        run = subprocess.run(
            [protoc, f"-I{folder}", f"--plugin=protoc-gen-weft={plugin}",
             f"--weft_out={out}", name],
            capture_output=True, text=True)
        made = os.listdir(out)
    wanted, failures, seen = expected(path), [], set()
    for line in run.stderr.splitlines():
        found = re.match(r"%s:(\d+): (note: )?(.*)$" % re.escape(name), line)
        if not found:
            if line and line != "--weft_out: refused:":
                failures.append(f"unexpected output: {line}")
            continue
        number, kind = int(found.group(1)), "noted" if found.group(2) else "refused"
        want = wanted.get(number)
        if want is None or want[0] != kind or want[1] not in found.group(3):
            failures.append(f"line {number}: said: {line}; expected: {want}")
        seen.add(number)
    for number in sorted(set(wanted) - seen):
        failures.append(f"line {number}: nothing was said; expected {wanted[number]}")
    if any(kind == "refused" for kind, _ in wanted.values()):
        if run.returncode == 0 or made:
            failures.append(f"was not refused (exit {run.returncode}, made {made})")
    elif run.returncode != 0:
        failures.append("was refused")
    for failure in failures:
        print(f"{name}: {failure}")
    print(f"{name}: {len(wanted)} expectations, {len(failures)} failures")
    return not failures and len(wanted) > 0


def check_faults(protoc, plugin, path):
    """What goes wrong outside of .proto files is said too, and fails."""
    with tempfile.TemporaryDirectory() as out:
        missing = f"--weft_out=allow_streams,protoc_gen_c={out}/none:{out}"
        cases = [
            ([plugin], b"no request", "is no CodeGeneratorRequest"),
            ([plugin, "--help"], b"", "takes no arguments"),
            ([protoc, f"-I{os.path.dirname(path)}", f"--plugin=protoc-gen-weft={plugin}",
              missing, os.path.basename(path)], b"", f"{out}/none: No such file"),
        ]
        failures = 0
        for command, given, expected in cases:
            run = subprocess.run(command, input=given, capture_output=True)
            if run.returncode == 0 or expected not in run.stderr.decode():
                print(f"{command}: exit {run.returncode}, said {run.stderr.decode()}")
                failures += 1
    print(f"{len(cases)} faults, {failures} failures")
    return not failures


def main():
    protoc, plugin, *files = sys.argv[1:]
    results = [check(protoc, plugin, path) for path in files]
    streams = [path for path in files if path.endswith("streams.proto")]
    results.append(check_faults(protoc, plugin, streams[0]))
    sys.exit(0 if results and all(results) else 1)


main()
