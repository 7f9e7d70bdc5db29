"""A line of the program in a child process, or work by a team of them, with limits, and whether they
ended as they should."""
import os
import resource
import runpy
import signal
import socket
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


class Child:
    "Work in a forked process, which has imported already what this one has; in a folder, with limits."
    def __init__(self, work, folder, seconds=30, before=lambda: None, memory=LIMIT, **env):
        self.tmp, self.start = tempfile.TemporaryDirectory(), time.perf_counter()
        self.said = [Path(self.tmp.name) / name for name in ('out', 'err')]
        self.status, self.pid = None, os.fork()
        if self.pid:
            return
        status = 70
        try:
            # PyTorch makes its pool of threads anew at the first call after a fork. Two threads whose
            # first calls meet there find none ("Invalid thread pool"), so this one calls before others.
            torch.set_num_threads(1)
            for number, path in zip((1, 2), self.said):
                os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
            sys.stdout, sys.stderr = (open(n, 'w', encoding='utf-8', buffering=1, closefd=False,
                                           errors='surrogateescape') for n in (1, 2))
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.chdir(folder)
            os.environ.update(env)
            held = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (held + memory,) * 2)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(seconds)
            before()
            status = work()
        except SystemExit as e:
            status = e.code if isinstance(e.code, int) else int(e.code is not None)
        except BaseException:
            import traceback
            traceback.print_exc()
            status = 71
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status or 0)

    def ended(self, how=os.WNOHANG):
        "Has it ended? Its status is known then."
        if self.status is None and (done := os.waitpid(self.pid, how))[0]:
            self.status = os.waitstatus_to_exitcode(done[1])
            self.seconds = time.perf_counter() - self.start
        return self.status is not None

    def end(self):
        "Wait for the end of it."
        self.ended(0)
        out, err = (p.read_text('utf-8', 'backslashreplace') if p.exists() else '' for p in self.said)
        self.tmp.cleanup()
        return Ended(self.status, out, err, self.seconds)


def child(argv, folder, seconds=30, **how):
    "Run the program in a forked process, in a folder."
    return Child(lambda: main([str(a) for a in argv]), folder, seconds, **how).end()


def script(path, *argv):
    "A file of Python, as what a process does."
    def work():
        sys.argv = [str(path), *map(str, argv)]
        runpy.run_path(str(path), run_name='__main__')
    return work


def begun(world, work, folder, seconds=120, **env):
    "The same work by processes that are told what torchrun tells its own."
    with socket.socket() as s:
        s.bind(('localhost', 0))
        port = s.getsockname()[1]
    told = dict(WORLD_SIZE=world, LOCAL_WORLD_SIZE=world, MASTER_ADDR='localhost', MASTER_PORT=port)
    def own(rank):
        return {k: str(v) for k, v in (told | dict(RANK=rank, LOCAL_RANK=rank) | env).items()}
    return [Child(work, folder, seconds, **own(rank)) for rank in range(world)]


def ends(running):
    "How each of them ended; if one fails, the others are asked to end, as torchrun does."
    while not all([c.ended() for c in running]):
        if any(c.status for c in running):   # the others would wait for it
            for c in running:
                if not c.ended():
                    os.kill(c.pid, signal.SIGTERM)
            break
        time.sleep(.02)
    return [c.end() for c in running]


def team(world, work, folder, seconds=120, **env):
    "The same work by several processes: how each ended."
    return ends(begun(world, work, folder, seconds, **env))
