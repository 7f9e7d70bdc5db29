"""Run notebooks as tests, each in a process of its own (nbdev's workers share patched modules and
environment).

    python dev/test.py [--slow] [--workers N] [NOTEBOOK …]

Without a notebook: all, in nbs/tests, nbs/programs and nbs.

Several at once share the cores: two busy threads for each of two notebooks would stand in each
other's way.
"""
import argparse
import atexit
import multiprocessing
import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

from cells import lessons, nbs, root

LONG = 30   # seconds a lesson should stay within on two cores
# Where a fork is safe, one process imports what all notebooks need, and each begins as its copy.
processes = multiprocessing.get_context('forkserver' if sys.platform == 'linux' else 'spawn')
NEEDED = ['nbdev.test', 'nbformat', 'torch._dynamo', 'matplotlib.pyplot']


def tested(notebook, slow, said):
    "What the process of a notebook does: what it and its children print goes into a file."
    for number, file in ((0, os.devnull), (1, said), (2, said)):
        os.dup2(os.open(file, os.O_RDWR | os.O_APPEND), number)
    sys.path.remove(str(root/'dev'))   # a notebook has no neighbours here
    os.chdir(root)
    from nbdev.test import nbdev_test
    flags = ['slow']*slow + ['triton']*bool(find_spec('triton'))           # made for Linux only
    try: nbdev_test(path=str(notebook), flags=' '.join(flags))
    finally: atexit._run_exitfuncs()   # temporary folders go; a process of multiprocessing leaves them


def run(notebook, slow):
    "Test one notebook: did it pass, how long did it take, what did it print."
    with tempfile.TemporaryDirectory() as tmp:
        said = Path(tmp, 'said')
        said.touch()
        process = processes.Process(target=tested, args=(notebook, slow, said))
        start = time.perf_counter()
        process.start()
        process.join()
        output = said.read_text('utf-8', 'replace')
    # nbdev_test exits 0 when it found nothing to test.
    return process.exitcode == 0 and 'Success.' in output, time.perf_counter() - start, output


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('notebooks', nargs='*', type=Path)
    parser.add_argument('--slow', action='store_true', help='also run cells flagged `#| slow`')
    parser.add_argument('--workers', type=int, metavar='N',
                        help='notebooks at once (default: one alone, else two; the cores are shared)')
    args = parser.parse_args()
    folders = [sorted((nbs/name).glob('[!_]*.ipynb')) for name in ('tests', 'programs')]
    notebooks = [p.resolve() for p in args.notebooks]
    if lost := [p for p in notebooks if not p.is_file()]: parser.error(f'{lost[0]}: no such notebook')
    notebooks = notebooks or [*sum(folders, []), *lessons()]                       # the long ones first
    start, passed = time.perf_counter(), 0
    cores = os.cpu_count() or 1
    workers = args.workers or min(2, cores, len(notebooks))
    # Processes that a notebook starts (torchrun) must import this clone, whichever one is installed.
    os.environ['PYTHONPATH'] = os.pathsep.join(filter(None, [str(root), os.environ.get('PYTHONPATH')]))
    os.environ['OMP_NUM_THREADS'] = str(max(1, cores//workers))
    if sys.platform == 'linux': processes.set_forkserver_preload(NEEDED)
    with ThreadPoolExecutor(workers) as pool: # results come in the order of the names
        results = pool.map(lambda p: run(p, args.slow), notebooks)
        for notebook, (ok, seconds, output) in zip(notebooks, results):
            passed += ok
            name = notebook.relative_to(root) if root in notebook.parents else notebook
            long = f'  (above {LONG} s)' if workers == 1 and seconds > LONG else ''
            print(f"{'pass' if ok else 'FAIL'} {seconds:6.1f} s  {name}{long}", flush=True)
            if not ok: print(output, flush=True)
    print(f'{time.perf_counter() - start:.0f} s in total')
    print(f'{passed} passed, {len(notebooks) - passed} failed')
    sys.exit(not notebooks or passed < len(notebooks))


if __name__ == '__main__': main()
