"""A line of the program in a child process, with limits, and whether it ended as it should."""
import os
import resource
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from speedrun_course.__main__ import main

torch.set_num_threads(1)   # a fork must not inherit threads that are at work
LIMIT = 6 * 2**30          # bytes of memory for a child


@dataclass
class Ended:
    "How a child ended: its status (minus a signal's number), what it said, and after how many seconds."
    status: int
    out: str
    err: str
    seconds: float

    @property
    def lines(self):
        return [line for line in self.err.splitlines() if line.strip()]

    def fault(self, ran=(0,)):
        "What is wrong with the end of it: '' for a good end, or one plain line and status 2."
        if any(c != '\n' and not c.isprintable() for c in self.err):
            return 'control characters on the screen'
        if self.status in ran:
            return ''
        if self.status != 2:
            return f'status {self.status}: {self.lines[-1:]}'
        own = [line for line in self.lines if line.startswith('speedrun: ')]
        usage = self.lines and self.lines[0].startswith('usage: ')   # of argparse
        if usage or len(own) == len(self.lines) == 1:
            return ''
        return f'not one line: {self.lines[-3:]}'


def child(argv, folder, seconds=30, before=lambda: None, memory=LIMIT):
    "Run the program in a forked process, in a folder."
    with tempfile.TemporaryDirectory() as tmp:
        said = [Path(tmp) / name for name in ('out', 'err')]
        start = time.perf_counter()
        pid = os.fork()
        if not pid:
            status = 70
            try:
                for number, path in zip((1, 2), said):
                    os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
                sys.stdout, sys.stderr = (open(n, 'w', encoding='utf-8', buffering=1, closefd=False,
                                               errors='surrogateescape') for n in (1, 2))
                os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
                os.chdir(folder)
                held = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()
                resource.setrlimit(resource.RLIMIT_AS, (held + memory,) * 2)
                resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
                signal.signal(signal.SIGALRM, signal.SIG_DFL)
                signal.alarm(seconds)
                before()
                status = main([str(a) for a in argv])
            except SystemExit as e:
                status = e.code if isinstance(e.code, int) else 1
            except BaseException:
                import traceback
                traceback.print_exc()
                status = 71
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status or 0)
        _, ended = os.waitpid(pid, 0)
        out, err = (p.read_text('utf-8', 'backslashreplace') if p.exists() else '' for p in said)
        return Ended(os.waitstatus_to_exitcode(ended), out, err, time.perf_counter() - start)
