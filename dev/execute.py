"""Run notebooks in a Jupyter kernel and save their outputs in place. A notebook that fails stays as
it was.

    python dev/execute.py [NOTEBOOK …]            default: all lessons
    python dev/execute.py --check [NOTEBOOK …]    default: those that only read results

With --check nothing is written: text that comes out otherwise than it was committed is a failure.
So no page, and no README, which is made of one, says what the files in results/ do not say.

Cells flagged `#| eval: false` or with a word of settings.ini's tst_flags are not run and keep the
outputs they have. But a stub, flagged `#| exercise`, is run and must fail, since its check would be
none if it passed before anybody has done the exercise; and it must fail by its check, in one line
that tells a learner something: not by Python's own error over an `...`.
"""
import argparse
import difflib
import os
import re
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbdev.clean import nbdev_clean
from nbdev.config import get_config

from cells import directives, fold, lessons, nbs, root

# cells that need Triton leave themselves out where there is none
skip_flags = set(get_config(path=root).tst_flags.split()) - {'exercise', 'triton'}
# A kernel would add the version of its Python, which is another one on each machine.
LANGUAGE = dict(file_extension='.py', mimetype='text/x-python', name='python',
                nbconvert_exporter='python', pygments_lexer='ipython3')
# They train nothing and take no times: whatever they print follows from results/ and the code.
READ_ONLY = ('index', '08_measure', '09_tuning', '42_later', '44_worth', '74_cheatsheet', '77_compiled',
             '77_told', '85_bench', '87_audit')
NOTHING = 'nothing is there yet'


class Client(NotebookClient):
    "A client that leaves out the cells that nbdev_test leaves out, and wants stubs to fail."
    async def async_execute_cell(self, cell, *args, **kwargs):
        has, _ = directives(cell)
        if has.get('eval') == 'false' or has.keys() & skip_flags: return cell
        if 'exercise' not in has: return await super().async_execute_cell(cell, *args, **kwargs)
        cell.metadata.tags = ['raises-exception']           # nbclient goes on after an error here
        await super().async_execute_cell(cell, *args, **kwargs)
        wrong = refusal(cell)
        cell.outputs = []
        del cell.metadata['tags']
        if wrong: raise ValueError(f'cell {cell.id}: {wrong}')
        return cell


def refusal(stub):
    """What is wrong with the way in which an untouched stub ended, if anything. Where a number or a
    name is asked, it says that nothing is there yet. Where code is asked, it may say something else
    in one line, or be the report of fastcore's `test_eq`."""
    error = next((out for out in stub.outputs if out.output_type == 'error'), None)
    if not error: return 'the check passes before the exercise is done'
    said, code = error.evalue, re.search('^(def|class) ', stub.source, re.M)
    if error.ename == 'AssertionError' and (
            said == NOTHING or code and re.fullmatch(r'.+|==:\n.*\n.*', said)): return None
    return (f'the untouched stub ends in {error.ename}: {said!r}; its check must assert first that '
            f'something is there, and say {NOTHING!r}')


def without_bars(output):
    """Drop what a progress bar or PyTorch's profiler wrote from a stderr stream; warnings stay,
    since they are to be seen and mended."""
    if output.output_type == 'stream' and output.name == 'stderr':
        output.text = re.sub(r'^.*(\r|\d+%\||\d+it \[|TqdmWarning.*\n|USDT:.*profiler_).*\n?', '',
                             output.text, flags=re.M)
        return bool(output.text.strip())
    return 'application/vnd.jupyter.widget-view+json' not in output.get('data', {})


def executed(path):
    "The notebook at `path` with fresh outputs."
    nb = nbformat.read(path, 4)
    Client(nb, timeout=None, kernel_name='python3', record_timing=False, coalesce_streams=True,
           extra_arguments=['--log-level=40'],
           resources={'metadata': {'path': str(path.parent)}}).execute()
    nb.metadata['language_info'] = LANGUAGE
    for cell in nb.cells:
        if cell.cell_type == 'code': cell.outputs = [o for o in cell.outputs if without_bars(o)]
    return fold(nb)


def execute(path):
    "Run the notebook at `path`, then write it, cleaned."
    nb, part = executed(path), path.with_suffix('.tmp')
    nbformat.write(nb, part)
    os.replace(part, path)
    nbdev_clean(str(path))


def said(nb):
    """Lines of text that the cells of a notebook print or show, under the cells' ids; pictures
    count by their size only."""
    lines = []
    for cell in nb.cells:
        for out in cell.get('outputs', []):
            data = out.get('data', {})
            text = out.get('text') or data.get('text/markdown') or data.get('text/plain') or ''
            text = re.sub(r' at 0x[0-9a-f]+', '', text)   # as nbdev_clean does
            lines += [f'cell {cell.id}', *text.splitlines()]
    return lines


def check(path):
    "Run the notebook at `path`: what it says now must be what it says in the file."
    old, new = said(nbformat.read(path, 4)), said(executed(path))
    if old != new:
        raise ValueError(
            '\n'.join(difflib.unified_diff(old, new, 'committed', 'as run now', n=1, lineterm='')))


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('notebooks', nargs='*', type=Path)
    parser.add_argument('--check', action='store_true')
    args = parser.parse_args()
    some = [nbs/f'{name}.ipynb' for name in READ_ONLY] if args.check else lessons()
    failed = 0
    # The kernel must import this clone, whichever one is installed.
    os.environ['PYTHONPATH'] = os.pathsep.join(filter(None, [str(root), os.environ.get('PYTHONPATH')]))
    for path in [p.resolve() for p in args.notebooks] or some:
        start, error = time.perf_counter(), None
        try: (check if args.check else execute)(path)
        except (OSError, ValueError, CellExecutionError, CellTimeoutError, DeadKernelError) as e:
            error = e
        failed += error is not None
        print(f"{'FAIL' if error else 'done'} {time.perf_counter() - start:6.1f} s  {path.name}",
              flush=True)
        if error: print(error, file=sys.stderr, flush=True)
    if args.check and failed:
        print('run `python dev/execute.py` on these notebooks, and `python dev/readme.py`',
              file=sys.stderr)
    sys.exit(failed > 0)


if __name__ == '__main__': main()
