"""Spoil what a run reads, and kill it where it writes: does it end in one line, or go on bit for bit?

    python dev/faults.py checkpoints|shards|kills [--n N] [--seed N]

The counts go into results/faults/; findings are printed.
"""
import argparse
import contextlib
import json
import os
import random
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from child import child
from speedrun_course.files import write_json
from speedrun_course.race.checkpoint import load_tensors, save_tensors, states
from speedrun_course.race.data import HEADER, MAGIC
from speedrun_course.race.log import read_log
from speedrun_course.race.results import RESULTS, commit, machine
from speedrun_course.recipe import NUMBERS

os.environ['HF_HUB_OFFLINE'] = '1'
SMALL = ('sprint --set width=32 --set heads=2 --set ngram_rows=64 --set evals=2 --steps 6 '
         '--checkpoint-every 2'.split())
NASTY = [None, True, 0, -1, 7, 10**9, 10**30, 1e308, float('nan'), float('inf'), '',
         'x', 'record27', '\x1b]0;owned\x07', 'a\nb', 'ä' * 10**5, [], [1], [[[]]], {}, {'a': 1},
         {'matrix': 'x'}, ['x'] * 200]


def text(folder, n=30_000):
    "A small corpus of characters, as `speedrun data text` makes it."
    (folder / 'text.txt').write_text('To be, or not to be: that is the question.\n' * (n // 43))
    assert child(['data', 'text', 'text.txt', '--out', 'text'], folder).status == 0


# Files

def changed_facts(facts, dice):
    "Facts with one of them missing, of another kind, or with numbers that no recipe has."
    facts = json.loads(json.dumps(facts))
    kind = dice.randrange(6)
    key = dice.choice(sorted(facts))
    if kind == 0:
        del facts[key]
    elif kind == 1:
        facts[key] = dice.choice(NASTY)
    elif kind == 2:
        facts['changed'] = {dice.choice([*NUMBERS, 'gone', '\x1b[2J']): dice.choice(NASTY)}
    elif kind == 3:
        facts['changed'][dice.choice(['vocab', 'layers', 'width', 'heads', 'ngram_rows', 'steps',
            'rows', 'seq'])] = dice.choice([10**6, 10**9, 10**18, 0, -1, 3])
    elif kind == 4:
        facts['data'] = dice.choice(
            [*NASTY, {'origin': 1, 'tokens': '\x1b[31m', 'train': [], 'val': None},
             {'origin': 'x\ny', 'tokens': 'gpt3', 'train': 'x', 'val': 'y'}])
    else:
        facts['place'] = dice.choice([*NASTY, {'shard': 10**9, 'row': 0}, {'shard': 0, 'row': -1},
                                      {'shard': 0, 'row': 10**30}, {'shard': '0', 'row': 0},
                                      {'shard': 0, 'row': 0, 'seq': 1}])
    return facts


def changed_tensors(tensors, dice):
    "Tensors of which one is missing, too many, or not what it should be."
    tensors, name = dict(tensors), dice.choice(sorted(tensors))
    t = tensors[name]
    return tensors | {0: lambda: {name: t.flatten()[:max(1, t.numel() // 2)]},
                      1: lambda: {name: torch.cat([t.flatten(), t.flatten()])},
                      2: lambda: {name: t.double()}, 3: lambda: {name: t.to(torch.float8_e4m3fn)},
                      4: lambda: {name: t * float('nan')},
                      5: lambda: {name: torch.zeros_like(t, dtype=torch.bool)},
                      6: lambda: {name + '\x1b[2J': t}, 7: lambda: {'model/x': t},
                      8: lambda: {name: torch.zeros(0)},
                      9: lambda: {name: t.reshape(1, *t.shape)}}[dice.randrange(10)]()


def changed_bytes(raw, dice):
    "A file that was cut, bent, or is none."
    size = int.from_bytes(raw[:8], 'little')
    bent = bytearray(raw)
    bent[dice.randrange(len(raw))] ^= 1 << dice.randrange(8)
    huge = (10**dice.randrange(9, 18)).to_bytes(8, 'little') + raw[8:]
    head = json.loads(raw[8:8 + size])
    name = dice.choice([k for k in head if k != '__metadata__'])
    head[name][dice.choice(['shape', 'data_offsets', 'dtype'])] = dice.choice(
        [[10**12], [-1, 4], [0, 10**18], 'F99', None, []])
    told = json.dumps(head).encode()
    facts = json.loads(raw[8:8 + size])
    facts['__metadata__']['facts'] = dice.choice(
        ['', '[', 'null', '7', '[' * 100_000 + ']' * 100_000, '{"record": NaN}'])
    other = json.dumps(facts).encode()
    return dice.choice(
        [raw[:dice.randrange(len(raw))], bytes(bent), huge, b'', b'{}', dice.randbytes(1000),
                        len(told).to_bytes(8, 'little') + told + raw[8 + size:],
                        len(other).to_bytes(8, 'little') + other + raw[8 + size:]])


def checkpoints(n, seed, say=print):
    "Crafted checkpoints and states at every door: generate, evaluate, go on, push."
    dice, found, ends = random.Random(seed), [], {}
    with tempfile.TemporaryDirectory() as tmp:
        folder = Path(tmp)
        text(folder)
        assert child(['train', *SMALL, '--data', 'text', '--out', 'whole'], folder).status == 0
        assert child(['train', *SMALL, '--data', 'text', '--out', 'half', '--stop', '4'],
                     folder).status == 0
        good = {'model.safetensors': folder / 'whole/model.safetensors',
                'state-000004.safetensors': states(folder / 'half')[-1]}
        held = {name: load_tensors(path) for name, path in good.items()}
        for i in range(n):
            name = dice.choice(sorted(good))
            kind = dice.choice(['facts', 'facts', 'tensors', 'bytes'])
            out = folder / f'bad{i}'
            shutil.copytree(folder / 'whole', out)
            file = out / name
            tensors, facts = held[name]
            if kind == 'bytes':
                file.write_bytes(changed_bytes(good[name].read_bytes(), dice))
            else:
                if kind == 'facts':
                    facts = changed_facts(facts, dice)
                else:
                    tensors = changed_tensors(tensors, dice)
                save_tensors(file, tensors, facts)
            doors = [['generate', file, '--max-tokens', 5], ['evaluate', file, '--data', 'text']]
            if name[0] == 's':
                doors = [
                    *doors[:1], ['train', '--resume', file, '--data', 'text'],
                    ['train', *SMALL, '--data', 'text', '--out', f'auto{i}', '--resume', 'auto']]
                (folder / f'auto{i}').mkdir()
                shutil.copy(file, folder / f'auto{i}' / name)
            else:
                doors.append(['hub', 'push', out, 'user/repo'])
            for argv in doors:
                end = child(argv, folder)
                fault = end.fault()
                # a folder whose only state cannot be read is one in which nothing has begun
                told = (end.status == 0 or argv[0] == 'hub' or 'safetensors' in end.err
                        or 'text' in end.err or f'auto{i}' in end.err)
                if not fault and not told:
                    fault = f'the line names no file: {end.lines}'
                ends[str(end.status)] = ends.get(str(end.status), 0) + 1
                if fault:
                    found.append(f'{kind} of {name}, {argv[0]}: {fault}')
                    say(found[-1])
            shutil.rmtree(out)
            shutil.rmtree(folder / f'auto{i}', ignore_errors=True)
    return dict(n=n, seed=seed, ends=ends, findings=found)


def shards(n, seed, say=print):
    "Corrupt shards and files beside them: train on them, and evaluate with them."
    dice, found, ends = random.Random(seed), [], {}
    with tempfile.TemporaryDirectory() as tmp:
        folder = Path(tmp)
        text(folder)
        assert child(['train', *SMALL, '--data', 'text', '--out', 'whole'], folder).status == 0
        head = lambda *ints: np.array([*ints, *[0] * (256 - len(ints))], '<i4').tobytes()
        for i in range(n):
            bad = folder / f'bad{i}'
            shutil.copytree(folder / 'text', bad)
            file = dice.choice(sorted(bad.iterdir()))
            raw = file.read_bytes()
            if file.suffix == '.bin':
                tokens = len(raw[HEADER:]) // 2
                new = dice.choice(
                    [raw[:dice.randrange(len(raw))], b'', head(MAGIC, 1, 2**31 - 1) + raw[HEADER:],
                     head(MAGIC, 1, -5) + raw[HEADER:], head(MAGIC, 2, tokens) + raw[HEADER:],
                     dice.randbytes(len(raw)),
                     raw[:HEADER] + np.full(tokens, 65535, '<u2').tobytes(),
                     head(MAGIC, 1, 100) + raw[HEADER:HEADER + 200], 'sparse', 'folder', 'loop'])
            else:
                new = dice.choice([raw[:dice.randrange(len(raw))], b'', b'7', b'{}', b'""', b'[]',
                                   b'"aa"', 'ä'.encode('latin-1'), b'[' * 100_000, b'"\\ud800"',
                                   b'"' + b'x' * 70_000 + b'"', b'null', 'folder'])
            file.unlink()
            if new == 'sparse':   # 4 GB of zeros that take no room
                file.write_bytes(head(MAGIC, 1, 2**31 - 2))
                os.truncate(file, HEADER + 2 * (2**31 - 2))
            elif new == 'folder':
                file.mkdir()
            elif new == 'loop':
                file.symlink_to(file.name)
            else:
                file.write_bytes(new)
            for argv in (['train', *SMALL, '--data', bad, '--out', f'out{i}'],
                         ['evaluate', 'whole', '--data', bad]):
                end = child(argv, folder, seconds=120)
                ends[str(end.status)] = ends.get(str(end.status), 0) + 1
                if fault := end.fault():
                    found.append(f'{file.name} ({str(new)[:30]!r}), {argv[0]}: {fault}')
                    say(found[-1])
            shutil.rmtree(bad)
            shutil.rmtree(folder / f'out{i}', ignore_errors=True)
    return dict(n=n, seed=seed, ends=ends, findings=found)


# Kills

class Disk:
    """What a run does to the files below a folder, counted; at one operation the run is killed.
    What was not forced onto the disk may be lost then: 'killed' keeps all that was written;
    'cut' keeps names and bytes only as they were last synced; 'torn' keeps the names, and half
    of what was written since."""
    COUNTED = 'open', 'os.rename', 'os.remove', 'os.mkdir', 'os.truncate', 'fsync'

    def __init__(self, root, at, how, shadow):
        self.root, self.at, self.how, self.shadow, self.count, self.off = (
            os.path.realpath(root), at, how, Path(shadow), 0, False)
        self.names = {}   # folder -> {name: inode, or None for a folder}, as last synced
        for folder, _, files in os.walk(self.root):
            self.remember(folder)
            for name in files:   # what was there before is on the disk
                path = os.path.join(folder, name)
                shutil.copy(path, self.shadow / f'bytes-{os.stat(path).st_ino}')
        self.fsync = os.fsync
        os.fsync = self.synced
        sys.addaudithook(self.hook)

    def below(self, path):
        if not isinstance(path, (str, bytes, os.PathLike)):
            return False
        path = os.path.join(os.path.realpath(os.path.dirname(os.path.abspath(os.fsdecode(path)))),
                            os.path.basename(os.fsdecode(path)))
        return path.startswith(self.root + '/') and not path.endswith('.lock')

    def hook(self, event, args):
        if self.off or event not in self.COUNTED or not self.below(args[0]):
            return
        if event == 'open' and not args[2] & (os.O_WRONLY | os.O_RDWR):
            return
        self.operation()

    def operation(self):
        self.count += 1
        if self.count == self.at:
            self.off = True
            self.cut()
            os._exit(137)

    def remember(self, folder):
        """The names in a folder are on the disk now; a link to each file keeps its number from
        being given away."""
        self.names[folder] = {}
        for entry in os.scandir(folder):
            self.names[folder][entry.name] = (None if entry.is_dir(follow_symlinks=False)
                                              else entry.inode())
            if not entry.is_dir(follow_symlinks=False):
                with contextlib.suppress(FileExistsError):
                    os.link(entry.path, self.shadow / f'link-{entry.inode()}')

    def synced(self, number):
        path = os.readlink(f'/proc/self/fd/{number}')
        if not self.off and (self.below(path) or path == self.root):
            self.operation()
            self.off = True
            if os.path.isdir(path):
                self.remember(path)
            else:
                inode = os.fstat(number).st_ino
                with contextlib.suppress(FileExistsError):
                    os.link(path, self.shadow / f'link-{inode}')
                shutil.copy(path, self.shadow / f'bytes-{inode}')
            self.off = False
        return self.fsync(number)

    def cut(self):
        "Leave the folder as a disk would."
        if self.how == 'killed':
            return
        held = {}
        for folder, _, files in os.walk(self.root):
            for name in files:
                inode = os.stat(os.path.join(folder, name)).st_ino
                held[inode] = Path(folder, name).read_bytes()
        names = self.names if self.how == 'cut' else {
            f: {n: os.stat(os.path.join(f, n)).st_ino for n in files} | dict.fromkeys(folders)
            for f, folders, files in os.walk(self.root)}
        shutil.rmtree(self.root, ignore_errors=True)

        def build(folder):
            os.makedirs(folder, exist_ok=True)
            for name, inode in names.get(folder, {}).items():
                path = os.path.join(folder, name)
                if inode is None:
                    build(path)
                    continue
                stored = self.shadow / f'bytes-{inode}'
                old = (stored.read_bytes() if stored.exists() else held.get(inode, b'')
                       if name.startswith('.') else b'')
                new = held.get(inode, old)
                Path(path).write_bytes(old + new[len(old):len(old) + (len(new) - len(old)) // 2]
                                       if self.how == 'torn' and new.startswith(old) else old)
        build(self.root)


def killed(root, at, how):
    """The run's command, killed at one operation; -1: not killed. How it ended, and how many
    operations there were."""
    argv = ['train', *SMALL, '--resume', 'auto', '--out', 'run/here', '--data', '../text']
    with tempfile.TemporaryDirectory(dir=root.parent) as shadow:
        def before():
            disk = Disk(root, at, how, shadow)
            main_exit = os._exit
            def leave(status):
                (root.parent / 'count').write_text(str(disk.count))
                main_exit(status)
            os._exit = leave
        end = child(argv, root, before=before)
    return end, int((root.parent / 'count').read_text())


def same(root, whole):
    "Has the run ended as the one that nobody killed? '' if it has."
    out = root / 'run/here'
    seen = sorted(f.name for f in out.iterdir() if f.name != '.lock')
    if seen != ['log.txt', 'model.safetensors', 'result.json']:
        return f'files {seen}'
    result = json.loads((out / 'result.json').read_text())
    if (result['losses'], result['val']) != (whole['losses'], whole['val']):
        return 'losses differ'
    # the library writes its header in any order
    tensors, facts = load_tensors(out / 'model.safetensors')
    if facts != whole['facts'] or not all(torch.equal(t, whole['weights'][k])
                                          for k, t in tensors.items()):
        return 'weights differ'
    steps = [line.split('/')[0] for line in (out / 'log.txt').read_text('utf-8').splitlines()
             if line.startswith('step:')]
    if steps != [f'step:{i}' for i in range(1, 7)]:
        return f'log has {steps}'
    read_log(out / 'log.txt')
    return ''


def kills(n, seed, say=print):
    """Kill a run at its file operations, in three ways, sometimes once more while it goes on; then
    run the same command."""
    dice, found, report = random.Random(seed), [], []
    with tempfile.TemporaryDirectory() as tmp:
        text(Path(tmp))
        fresh = lambda name: Path(tmp, name, 'disk')
        root = fresh('whole')
        root.mkdir(parents=True)
        os.symlink('../text', root.parent / 'text')
        end, operations = killed(root, -1, 'killed')
        assert end.status == 0, end.err
        weights, facts = load_tensors(root / 'run/here/model.safetensors')
        whole = (json.loads((root / 'run/here/result.json').read_text())
                 | dict(weights=weights, facts=facts))
        todo = [(at, how) for at in range(1, operations + 1) for how in ('killed', 'cut', 'torn')]
        if n:
            todo = dice.sample(todo, min(n, len(todo)))
        for i, (at, how) in enumerate(todo):
            root = fresh(f'k{i}')
            root.mkdir(parents=True)
            os.symlink('../text', root.parent / 'text')
            ends = [killed(root, at, how)[0].status]
            if dice.random() < .5:
                ends.append(killed(root, dice.randrange(1, operations + 1),
                                   dice.choice(['killed', 'cut', 'torn']))[0].status)
            last, _ = killed(root, -1, 'killed')
            fault = last.fault() or (f'status {last.status}: {last.lines}' if last.status
                                     else same(root, whole))
            if fault:
                found.append(f'operation {at} of {operations}, {how}, {ends}: {fault}')
                say(found[-1])
            report.append(dict(at=at, how=how, ends=ends))
            shutil.rmtree(root.parent)
    return dict(n=len(todo), operations=operations, seed=seed, command=' '.join(SMALL),
                kills=report, findings=found)


if __name__ == '__main__':
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('what', choices=('checkpoints', 'shards', 'kills'))
    p.add_argument('--n', type=int, default=0,
                   help='how many (default: 300 checkpoints, 50 shards, every operation of a run)')
    p.add_argument('--seed', type=int, default=0)
    a = p.parse_args()
    n = a.n or dict(checkpoints=300, shards=50, kills=0)[a.what]
    report = globals()[a.what](n, a.seed)
    write_json(RESULTS / 'faults' / f'{a.what}.json', dict(report, commit=commit(), **machine()))
    print(f"{report['n']} {a.what}: {len(report['findings'])} findings")
    sys.exit(bool(report['findings']))
