"""Run notebooks as tests, one after the other, each in a process of its own (nbdev's workers share patched modules and environment).

    python .ci/test.py [--slow] [NOTEBOOK …]      default: nbs/[0-9]*.ipynb, nbs/index.ipynb, nbs/tests/*.ipynb
"""
import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from cells import lessons, nbs, root

LONG = 30   # seconds a lesson should stay within on two cores


def run(notebook, slow):
    "Test one notebook: did it pass, how long did it take, what did it print."
    beside = Path(sys.executable).parent/'nbdev_test'
    command = [str(beside) if beside.exists() else shutil.which('nbdev_test') or sys.exit("nbdev_test is missing: pip install -e '.[dev]'"),
               '--path', str(notebook)] + ['--flags', 'slow']*slow
    # Processes that a notebook starts (torchrun) must import this clone, whichever one is installed.
    env = os.environ | {'PYTHONPATH': os.pathsep.join(filter(None, [str(root), os.environ.get('PYTHONPATH')]))}
    start = time.perf_counter()
    done = subprocess.run(command, cwd=root, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors='replace')
    # nbdev_test exits 0 when it found nothing to test.
    return done.returncode == 0 and 'Success.' in done.stdout, time.perf_counter() - start, done.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('notebooks', nargs='*', type=Path)
    parser.add_argument('--slow', action='store_true', help='also run cells flagged `#| slow`')
    args = parser.parse_args()
    notebooks = [p.resolve() for p in args.notebooks] or [*lessons(), *sorted((nbs/'tests').glob('[!_]*.ipynb'))]
    start, passed = time.perf_counter(), 0
    for notebook in notebooks:
        ok, seconds, output = run(notebook, args.slow)
        passed += ok
        name = notebook.relative_to(root) if root in notebook.parents else notebook
        print(f"{'pass' if ok else 'FAIL'} {seconds:6.1f} s  {name}{f'  (above {LONG} s)' if seconds > LONG else ''}", flush=True)
        if not ok: print(output, flush=True)
    print(f'{time.perf_counter() - start:.0f} s in total')
    print(f'{passed} passed, {len(notebooks) - passed} failed')
    sys.exit(not notebooks or passed < len(notebooks))


if __name__ == '__main__': main()
