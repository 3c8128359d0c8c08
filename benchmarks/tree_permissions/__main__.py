"""Compare ``tree_permissions`` with what is used in its place, on one tree and in one run.

    python benchmarks/tree_permissions [--files 100000] [--directory DIRECTORY] [--json FILE]

Each contender meets the same tree, as root, in two states:

* ``clean``: everything is as it should be;
* ``1 % wrong``: every hundredth file has another owner, group and mode. It is made wrong anew for each.

The contenders:

* ``tree_permissions``, as Ansible runs it: the module in a process of its own;
* ``tree_permissions, acl``: the same with ACLs to compare too, of files that have them;
* ``find -printf``: what only looks, with names (``%u %g %m``) and with numbers (``%U %G %m``);
* ``chown -R, find chmod``: ``chown -R`` and then ``find -exec chmod +`` of directories and of files;
* ``ansible.builtin.file`` with ``recurse: true``, its module in a process of its own too. It knows one
  mode, ``u=rwX,g=rX,o=``. Up to ``--recurse-files`` files, 100,000 if unset, it is measured as the others
  are. For larger trees its seconds are calculated from a tree of that size, and marked ``x``: what it
  takes on an empty tree, its start, counts once, and the rest is multiplied. That is an estimate: a
  smaller tree stays in the cache more easily. For a comparison that counts, measure all of it.

Both modules' seconds include their start, Python's and Ansible's imports, of some 0.1 to 0.3 s, which
``find`` and ``chown`` don't have; the line ``start`` tells it for the tree of no file.

Seconds depend on the machine; ratios to ``find -printf '%u %g %m'`` of the same run say more. Each is
measured ``--times`` times, and the fastest counts, since others may use the machine. Memory is the
peak of the largest process of a contender, as wait4(2) tells it. The tree is in the cache.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COLLECTIONS = ROOT / ".ansible/collections"
WRONG_EVERY = 100
OWNER, GROUP = "nobody", "www-data"
DIRECTORY_MODE, FILE_MODE = 0o2750, 0o640


# Seconds, seconds of the processor, peak MiB
Usage = tuple[float, float, float]


@dataclass(frozen=True)
class Result:
    contender: str
    what: str
    seconds: float
    cpu_seconds: float
    peak_mib: float
    is_multiplied: bool


def make_tree(directory: Path, files: int, per_directory: int) -> None:
    """Make empty files, as they should be."""
    uid, gid = ids()
    for first in range(0, files, per_directory):
        parent = directory / f"{first // per_directory:04}"
        parent.mkdir(parents=True)
        os.chown(parent, uid, gid)
        os.chmod(parent, DIRECTORY_MODE)
        there = os.open(parent, os.O_RDONLY)
        for number in range(first, min(first + per_directory, files)):
            file = os.open(f"{number:07}.png", os.O_CREAT | os.O_WRONLY, FILE_MODE, dir_fd=there)
            os.fchown(file, uid, gid)
            os.fchmod(file, FILE_MODE)
            os.close(file)
        os.close(there)
    os.chown(directory, uid, gid)
    os.chmod(directory, DIRECTORY_MODE)


def make_wrong(directory: Path) -> None:
    for parent in directory.iterdir():
        for file in parent.glob("*00.png"):
            os.chown(file, 0, 0)
            os.chmod(file, 0o600)


def ids() -> tuple[int, int]:
    owner = subprocess.check_output(["id", "-u", OWNER], text=True)
    group = subprocess.check_output(["getent", "group", GROUP], text=True).split(":")[2]
    return int(owner), int(group)


def measure(commands: Sequence[Sequence[str]]) -> Usage:
    """Run commands one after another; return seconds, seconds of the processor, and peak MiB."""
    began = time.monotonic()
    cpu_seconds, peak_kib = 0.0, 0
    with tempfile.TemporaryFile() as errors:
        for command in commands:
            process = subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=errors, env=environment()
            )
            _pid, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                errors.seek(0)
                shown = errors.read().decode("utf-8", "replace")[-3000:]
                raise SystemExit(f"{' '.join(command)} failed:\n{shown}")
            cpu_seconds += usage.ru_utime + usage.ru_stime
            peak_kib = max(peak_kib, usage.ru_maxrss)
    return time.monotonic() - began, cpu_seconds, peak_kib / 1024


def of_whole(start: Usage, part: Usage, factor: float) -> Usage:
    """Return what a tree would take that is so many times as large as one that was measured.

    :param start: what an empty tree takes, which is not multiplied.
    """
    seconds, cpu_seconds = (
        once + max(0.0, measured - once) * factor for once, measured in zip(start[:2], part[:2])
    )
    return seconds, cpu_seconds, part[2]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(COLLECTIONS), "LC_ALL": "C.UTF-8"}


def module(name: str, arguments: dict[str, object], scratch: Path) -> list[list[str]]:
    file = scratch / "arguments.json"
    file.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}))
    return [[sys.executable, "-m", name, str(file)]]


def of_module(tree: Path, scratch: Path, **more: object) -> list[list[str]]:
    arguments: dict[str, object] = {
        "path": str(tree),
        "owner": OWNER,
        "group": GROUP,
        "directory_mode": f"{DIRECTORY_MODE:04o}",
        "file_mode": f"{FILE_MODE:04o}",
        **more,
    }
    name = "ansible_collections.flaskworks.static_media.plugins.modules.tree_permissions"
    return module(name, arguments, scratch)


def of_module_with_acl(tree: Path, scratch: Path) -> list[list[str]]:
    acl = [{"etype": "user", "entity": "games", "permissions": "rX"}]
    return of_module(tree, scratch, acl=acl)


def of_find(tree: Path, _scratch: Path) -> list[list[str]]:
    return [["find", str(tree), "-printf", "%u %g %m\n"]]


def of_find_numbers(tree: Path, _scratch: Path) -> list[list[str]]:
    return [["find", str(tree), "-printf", "%U %G %m\n"]]


def of_chown(tree: Path, _scratch: Path) -> list[list[str]]:
    def chmod(kind: str, mode: int) -> list[str]:
        return ["find", str(tree), "-type", kind, "-exec", "chmod", f"{mode:04o}", "{}", "+"]

    return [
        ["chown", "-R", f"{OWNER}:{GROUP}", str(tree)],
        chmod("d", DIRECTORY_MODE),
        chmod("f", FILE_MODE),
    ]


def of_recurse(tree: Path, scratch: Path) -> list[list[str]]:
    arguments: dict[str, object] = {
        "path": str(tree),
        "state": "directory",
        "recurse": True,
        "owner": OWNER,
        "group": GROUP,
        "mode": "u=rwX,g=rX,o=",
    }
    return module("ansible.modules.file", arguments, scratch)


BASELINE = "find -printf '%u %g %m'"
WITH_ACL = "tree_permissions, acl"
RECURSE = "ansible.builtin.file recurse"
CONTENDERS: dict[str, Callable[[Path, Path], list[list[str]]]] = {
    BASELINE: of_find,
    "find -printf '%U %G %m'": of_find_numbers,
    "tree_permissions": of_module,
    "chown -R, find chmod": of_chown,
    RECURSE: of_recurse,
    # The last one, since it leaves ACLs behind
    WITH_ACL: of_module_with_acl,
}


def start_of(name: str, scratch: Path, times: int) -> Usage:
    """Measure a contender on a tree of no file."""
    with tempfile.TemporaryDirectory(dir=scratch) as empty:
        make_tree(Path(empty), 0, 1)
        commands = CONTENDERS[name](Path(empty), scratch)
        return min(measure(commands) for _ in range(times))


def contend(name: str, tree: Path, scratch: Path, times: int, factor: float) -> list[Result]:
    start = start_of(name, scratch, times)
    results = [Result(name, "start", *start, False)]
    commands = CONTENDERS[name](tree, scratch)
    if name == WITH_ACL:
        measure(commands)
    for what in ("clean", "1 % wrong"):
        best: list[Usage] = []
        for _ in range(times):
            if what != "clean":
                make_wrong(tree)
            best.append(measure(commands))
        results.append(Result(name, what, *of_whole(start, min(best), factor), factor != 1))
        if name.startswith("find") and what != "clean":
            # It only looks.
            measure(of_module(tree, scratch))
    return results


def table(results: Sequence[Result]) -> str:
    of = {(result.contender, result.what): result for result in results}
    lines = [f"{'':28} {'':9} {'seconds':>9} {'ratio':>7} {'CPU s':>8} {'CPU ratio':>9} {'MiB':>5}"]
    for result in results:
        base = of[(BASELINE, result.what)]
        # A program that does nothing yet is no measure.
        is_start = result.what == "start"
        ratio = "" if is_start else f"{result.seconds / base.seconds:.2f}"
        cpu_ratio = "" if is_start else f"{result.cpu_seconds / base.cpu_seconds:.2f}"
        lines.append(
            f"{result.contender:28} {result.what:9} {result.seconds:8.2f}"
            f"{'x' if result.is_multiplied else ' '} {ratio:>7} {result.cpu_seconds:8.2f}"
            f" {cpu_ratio:>9} {result.peak_mib:5.0f}"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--files-a-directory", type=int, default=1000)
    parser.add_argument("--recurse-files", type=int, default=100_000, help=f"most for {RECURSE}")
    parser.add_argument("--times", type=int, default=3, help="how often each is measured")
    parser.add_argument("--directory", type=Path, help="where to work; on the disk to measure")
    parser.add_argument("--only", action="append", choices=CONTENDERS, help="contender to run")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    options = parser.parse_args()
    if os.geteuid() != 0:
        raise SystemExit("Files are given to another user. Run it as root.")
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=options.directory) as directory:
        scratch = Path(directory)
        tree, part = scratch / "tree", scratch / "part"
        make_tree(tree, options.files, options.files_a_directory)
        print(
            f"{options.files} files, {len(os.sched_getaffinity(0))} processors,"
            f" load {os.getloadavg()[0]:.1f}\n",
            flush=True,
        )
        results: list[Result] = []
        for name in CONTENDERS:
            # The ratios are to it.
            if options.only and name not in (BASELINE, *options.only):
                continue
            where, factor = tree, 1.0
            if name == RECURSE and options.recurse_files < options.files:
                where, factor = part, options.files / options.recurse_files
                make_tree(part, options.recurse_files, options.files_a_directory)
            found = contend(name, where, scratch, options.times, factor)
            results += found
            print("\n".join(table(results).splitlines()[-len(found) :]), flush=True)
        print(f"\nRatios are to {BASELINE}; load {os.getloadavg()[0]:.1f}.\n\n{table(results)}")
        if options.json:
            figures = [asdict(result) for result in results]
            options.json.write_text(json.dumps(figures, indent=1) + "\n")
        # Faster than Python's own
        subprocess.run(["rm", "-rf", str(tree), str(part)], check=True)


if __name__ == "__main__":
    main()
