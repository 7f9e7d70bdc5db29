"""Run notebooks in a Jupyter kernel and save their outputs in place. A notebook that fails stays as it was.

    python .ci/execute.py [NOTEBOOK …]            default: all lessons

Cells flagged `#| eval: false` or with a word of settings.ini's tst_flags are not run and keep the outputs they have.
"""
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

from cells import directives, lessons, root

skip_flags = set(get_config(path=root).tst_flags.split())


class Client(NotebookClient):
    "A client that leaves out the cells that nbdev_test leaves out."
    async def async_execute_cell(self, cell, *args, **kwargs):
        has, _ = directives(cell)
        if has.get('eval') == 'false' or has.keys() & skip_flags: return cell
        return await super().async_execute_cell(cell, *args, **kwargs)


def without_bars(output):
    "Drop what a progress bar or PyTorch's profiler wrote from a stderr stream; warnings stay, since they are to be seen and mended."
    if output.output_type == 'stream' and output.name == 'stderr':
        output.text = re.sub(r'^.*(\r|\d+%\||\d+it \[|TqdmWarning.*\n|USDT:.*profiler_).*\n?', '', output.text, flags=re.M)
        return bool(output.text.strip())
    return 'application/vnd.jupyter.widget-view+json' not in output.get('data', {})


def execute(path):
    "Run the notebook at `path`, then write it, cleaned."
    nb = nbformat.read(path, 4)
    Client(nb, timeout=None, kernel_name='python3', record_timing=False, coalesce_streams=True,
           extra_arguments=['--log-level=40'], resources={'metadata': {'path': str(path.parent)}}).execute()
    for cell in nb.cells:
        if cell.cell_type == 'code': cell.outputs = [o for o in cell.outputs if without_bars(o)]
    part = path.with_suffix('.tmp')
    nbformat.write(nb, part)
    os.replace(part, path)
    nbdev_clean(str(path))


def main():
    failed = 0
    # The kernel must import this clone, whichever one is installed.
    os.environ['PYTHONPATH'] = os.pathsep.join(filter(None, [str(root), os.environ.get('PYTHONPATH')]))
    for path in [Path(a).resolve() for a in sys.argv[1:]] or lessons():
        start, error = time.perf_counter(), None
        try: execute(path)
        except (OSError, CellExecutionError, CellTimeoutError, DeadKernelError) as e: error = e
        failed += error is not None
        print(f"{'FAIL' if error else 'done'} {time.perf_counter() - start:6.1f} s  {path.name}", flush=True)
        if error: print(error, file=sys.stderr, flush=True)
    sys.exit(failed > 0)


if __name__ == '__main__': main()
