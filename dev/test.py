"""Run notebooks as tests, each in a process of its own (nbdev's workers share patched modules and
environment).

    python dev/test.py [--slow] [--workers N] [NOTEBOOK …]

The default is all notebooks, in nbs/tests, nbs/programs and nbs.

Several at once share the cores: two busy threads for each of two notebooks would stand in each
other's way.
"""
import argparse
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cells import lessons, nbs, root

LONG = 30   # seconds a lesson should stay within on two cores


def run(notebook, slow, threads):
    "Test one notebook: did it pass, how long did it take, what did it print."
    beside = Path(sys.executable).parent/'nbdev_test'
    command = [str(beside) if beside.exists() else shutil.which('nbdev_test')
               or sys.exit("nbdev_test is missing: pip install -e '.[dev]'"),
               '--path', str(notebook)] + ['--flags', 'slow']*slow
    # Processes that a notebook starts (torchrun) must import this clone, whichever one is installed.
    env = os.environ | {
        'PYTHONPATH': os.pathsep.join(filter(None, [str(root), os.environ.get('PYTHONPATH')])),
        'OMP_NUM_THREADS': str(threads)}
    start = time.perf_counter()
    done = subprocess.run(command, cwd=root, env=env, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors='replace')
    # nbdev_test exits 0 when it found nothing to test.
    return done.returncode == 0 and 'Success.' in done.stdout, time.perf_counter() - start, done.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('notebooks', nargs='*', type=Path)
    parser.add_argument('--slow', action='store_true', help='also run cells flagged `#| slow`')
    parser.add_argument('--workers', type=int, metavar='N',
                        help='notebooks at once (default: one alone, else two; '
                             'the cores are shared)')
    args = parser.parse_args()
    notebooks = [p.resolve() for p in args.notebooks] or [
        *sorted((nbs/'tests').glob('[!_]*.ipynb')),
        *sorted((nbs/'programs').glob('[!_]*.ipynb')), *lessons()]
    start, passed = time.perf_counter(), 0
    cores = os.cpu_count() or 1
    workers = args.workers or min(2, cores, len(notebooks))
    with ThreadPoolExecutor(workers) as pool: # results come in the order of the names
        for notebook, (ok, seconds, output) in zip(
                notebooks,
                pool.map(lambda p: run(p, args.slow, max(1, cores//workers)), notebooks)):
            passed += ok
            name = notebook.relative_to(root) if root in notebook.parents else notebook
            long = f'  (above {LONG} s)' if workers == 1 and seconds > LONG else ''
            print(f"{'pass' if ok else 'FAIL'} {seconds:6.1f} s  {name}{long}", flush=True)
            if not ok: print(output, flush=True)
    print(f'{time.perf_counter() - start:.0f} s in total')
    print(f'{passed} passed, {len(notebooks) - passed} failed')
    sys.exit(not notebooks or passed < len(notebooks))


if __name__ == '__main__': main()
