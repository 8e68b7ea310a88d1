"""Counts Weft's instructions per call, of each side, against a budget.

usage: instructions.py ONE_LOOP BUDGET BUILT [--record]

ONE_LOOP is the program of that name, BUILT says how it was compiled: a budget
holds for that alone.  Over 5 % more than the budget is a failure, 5 % less a
remark.  --record writes the budget anew.

Counted by callgrind, which runs the same instructions on every machine: those
of ONE_LOOP itself, for the C library chooses other functions on another
processor, and libevent's are not ours to save.  Standard library only.
"""

import os
import subprocess
import sys
import tempfile

CALLS = 5000
BYTES = 32
LOADS = {"1x1": (1, 1), "1x64": (1, 64), "64x8": (64, 8)}
SIDES = {"server": "serve", "client": "ask"}  # and the function that one_loop has for it
TOLERANCE = 0.05


def own_instructions(profile, program):
    """Sum of what callgrind's profile says was spent in the program's own functions."""
    names, mine, total, call_follows = {}, False, 0, False
    for line in profile:
        key, _, value = line.rstrip("\n").partition("=")
        if key in ("ob", "cob"):
            number, _, name = value.partition(" ")
            if name:
                names[number] = name
            if key == "ob":
                mine = names[number] == program
        elif key == "calls":
            call_follows = True  # the cost of what is called, which is counted there
        elif line[:1] in "+-*0123456789" and line.strip():
            if mine and not call_follows:
                total += int(line.split()[1])
            call_follows = False
    return total


def count(program, load, side):
    connections, in_flight = LOADS[load]
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "profile")
        command = ["valgrind", "--tool=callgrind", "--toggle-collect=" + SIDES[side],
                   "--compress-pos=no", "--callgrind-out-file=" + out, program,
                   str(connections), str(in_flight), str(CALLS), str(BYTES), "apart"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            sys.exit("instructions: valgrind is not installed (script/setup installs it)")
        if done.returncode != 0:
            sys.exit("instructions: %s\n%s" % (" ".join(command), done.stdout + done.stderr))
        with open(out, encoding="utf-8") as profile:
            per_call = round(own_instructions(profile, program) / CALLS)
    if per_call == 0:
        sys.exit("instructions: nothing was counted in %s" % program)
    return per_call


def read_budget(path):
    built, budget = None, {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line.startswith("built "):
                built = line[len("built "):].strip()
            elif line.strip() and not line.startswith("#"):
                load, side, instructions = line.split()
                budget[load, side] = int(instructions)
    return built, budget


def write_budget(path, built, counts):
    with open(path, "w", encoding="utf-8") as file:
        file.write("# Instructions of Weft's own per unary call of %d bytes; written by\n"
                   "# bench/instructions.py --record (docs/performance.md).\n" % BYTES)
        file.write("built %s\n" % built)
        for (load, side), instructions in counts.items():
            file.write("%s %s %d\n" % (load, side, instructions))


def verdict(instructions, budget):
    """None: within the budget.  Else whether it is a failure, and why."""
    more = instructions / budget - 1
    if abs(more) <= TOLERANCE:
        return None
    if more > 0:
        return True, "%d instructions, %.1f %% over the budget of %d" % (
            instructions, 100 * more, budget)
    return False, "%d instructions, %.1f %% under the budget of %d: lower it" % (
        instructions, -100 * more, budget)


def self_test():
    profile = ["ob=(1) /p\n", "10 7\n", "calls=2 0\n", "10 500\n", "11 1\n", "cob=(2) /lib\n",
               "calls=1 0\n", "12 90\n", "ob=(2)\n", "0 1000\n", "ob=(1)\n", "12 3\n", "\n",
               "totals: 9\n"]
    assert own_instructions(profile, "/p") == 11
    assert own_instructions(profile, "/lib") == 1000
    assert verdict(104, 100) is None and verdict(96, 100) is None
    assert verdict(106, 100) == (True, "106 instructions, 6.0 % over the budget of 100")
    assert verdict(90, 100)[0] is False


def main(args):
    if args == ["--self-test"]:
        self_test()
        return 0
    record = args[-1:] == ["--record"]
    if len(args) - record != 3:
        sys.exit(__doc__)
    program, path, built = os.path.realpath(args[0]), args[1], args[2]
    counts = {(load, side): count(program, load, side) for load in LOADS for side in SIDES}
    if record:
        write_budget(path, built, counts)
    recorded_for, budget = read_budget(path)
    failed = False
    for (load, side), instructions in counts.items():
        said = None
        if recorded_for == built:
            said = verdict(instructions, budget[load, side])
        failed = failed or bool(said and said[0])
        print("%-4s %s: %s" % (load, side, said[1] if said else "%d instructions" % instructions))
    if recorded_for != built:
        print("not compared: the budget is for %s, this is %s" % (recorded_for, built))
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
