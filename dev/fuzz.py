"""Random faults: whatever comes, the program ends with a status and a line, and loses nothing.

    python dev/fuzz.py lines [--n 1000] [--seed 0]    random command lines, whose options and files
                                                      are good, odd and broken

A finding is printed with what makes it again; the counts go to results/faults/NAME.json.
"""
import argparse
import contextlib
import datetime
import faulthandler
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

root = Path(__file__).resolve().parent.parent
# seconds of a processor, bytes in memory, bytes in a file that a line may take
LIMIT, MEMORY, DISK = 10, 6*2**30, 2**28
SLOW = 4  # times as many seconds on the wall, for a line that waits or a machine that is busy
# verbs that mostly work until their time is over
RARE = ('race', 'bench', 'tune', 'count', 'replay', 'measure', 'doctor', 'compile')

# Words that somebody's finger, script or malice may type.
ODD = ['', ' ', '-', '--', '-1', '0', '-0', '1', '²', '٣', '1'+'0'*30, '9'*5000, '1e400',
       'nan', 'inf', '-inf', '0x10', '1_000', '1.5', '5-1', '0-', '-5', '1-2-3', f"0-1{'0'*30}", '=',
       'width', 'width=', '=3', 'a=b=c', ',', ':', 'json:loads', 'no.such:thing', 'sys:modules',
       'a:b:c', 'auto', 'none', 'None', 'x'*5000, '\x1b]0;mine\x07', 'two\nlines', 'a\tb',
       '\u202emirror', '🙂', '\udcff', '/', '..', '.', '../../up', '/dev/null', '/dev/zero',
       '/dev/stdin', '/proc/self/mem', '~', '$HOME', '%s%n', '{0}', 'a/b', 'a/b@c', 'user/repo@main']
FILES = {'empty': b'', 'zeros': bytes(5000), 'short': b'x',
         'poem.txt': b'In the forest stands a man, all quiet and alone.\n'*600,
         'latin.txt': b'\xe9t\xe9\n'*6000, 'bom.txt': 'dir\r\n'.encode('utf-16'),
         'torn': b'{"record": "nano', 'number': b'7\n', 'list': b'[1, 2]\n', 'null': b'null\n',
         'word': b'"word"\n', 'object': b'{}\n',
         'wrong': b'{"record": 7, "digest": [], "seed": "x", "final": null, "losses": {}}\n',
         'deep': b'['*100_000 + b'\n',
         'nan': b'{"seed": NaN, "record": "nanogpt", "digest": "\\ud800"}\n',
         'digits': b'9'*5000 + b'\n', 'newlines': b'\n'*10**6,
         'huge-header': b'\xff'*7 + b'\x7f' + b'{}', 'steer': b'\x1b]0;mine\x07 \x1b[2J\n'*9,
         '\x1b]0;mine\x07.txt': b'x', 'two\nlines.txt': b'x', '\udcff.txt': b'x', 'x'*200: b'x',
         ' ': b'x', '-': b'x'}
# files that the program looks for by name
BROKEN = ['results/official/nanogpt.jsonl', 'results/official/muon.jsonl',
          'results/default/sprint.jsonl', 'results/bench/nanogpt-muon.jsonl',
          'results/reports/trial/trial.json', 'results/reports/trial/muon.jsonl',
          'runs/race/race/muon.jsonl', 'run/result.json', 'run/log.txt', 'run/model.safetensors',
          'half/state-000002.safetensors', 'half/log.txt', 'shards/pocket_train_000001.bin',
          'shards/pocket_val_000000.bin', 'shards/vocab.json', 'answers.jsonl', 'mine.py']
PLACES = ['run', 'half', 'shards', 'run/log.txt', 'run/result.json', 'trial', 'mine:idea',
          'pipe', 'loop', 'locked', 'no/such/file', 'new', 'runs', 'results',
          'results/official/nanogpt.jsonl']
# what a good user would name
LIKELY = dict(CHECKPOINT=['run', 'half', 'run/model.safetensors', 'half/state-000002.safetensors'],
              PATH=['half', 'half/state-000002.safetensors', 'auto'],
              NAME=['trial'], RUN=['run', 'half'],
              LOG=['run', 'run/log.txt', 'half/log.txt'], DIR=['shards', 'new', 'half'],
              FILE=['poem.txt', 'answers.jsonl', 'latin.txt', 'drawn.svg'])
RECORDS = ['nanogpt', 'baseline', 'muon', 'sprint', 'flex', 'record27', 'fp8', 'diff', 'nanogtp']
# Frames of honest work: a line that is here when its time is over has only been too long.
WORK = re.compile(r'race/loop\.py|lab/jobs\.py.*do_all|lab/bench\.py.*timed_program|use/generate\.py|'
                  r'use/evaluate\.py|lab/profile\.py|race/plan\.py|lab/tuning\.py|'
                  r'lab/compiled\.py.*compile_apart|lab/trial\.py.*lap')


def furnish(folder, good, dice):
    "Fill a folder with files of all kinds, and break some that the program looks for."
    shutil.copytree(good, folder, dirs_exist_ok=True)
    for name, data in FILES.items(): (folder/name).write_bytes(data)
    os.mkfifo(folder/'pipe')
    (folder/'loop').symlink_to('loop')
    (folder/'locked').mkdir(mode=0)
    for name in dice.sample(BROKEN, dice.randrange(6)):
        path = folder/name
        path.parent.mkdir(parents=True, exist_ok=True)
        held = path.read_bytes() if path.is_file() else b''
        if held and dice.random() < .5:   # a part of it, or with other bytes in the middle
            at = dice.randrange(len(held))
            held = (held[:at] + dice.choice([b'', dice.randbytes(3), b'9', b'"', b'\n'])
                    + held[at + dice.choice([0, 1, 2**40]):])
            path.write_bytes(held)
        elif dice.random() < .1:
            path.unlink(missing_ok=True)
            path.mkdir()
        else: path.write_bytes(dice.choice([*FILES.values()]))


def word_for(action, dice):
    "A word for an option or a place on the command line."
    from speedrun_course.recipe import NUMBERS
    if dice.random() < .2: return dice.choice([*ODD, *FILES, *PLACES])
    if action.choices: return dice.choice([*action.choices])
    kind = action.metavar or action.dest
    if kind in ('RECORD', 'ARM'):
        return dice.choice(RECORDS) + dice.choice(
            ['', '', ',width=64', ',rates.all=1', ',', ',steps=3'])*(kind == 'ARM')
    if kind == 'NAME=VALUE':
        return (dice.choice(NUMBERS) + dice.choice(['', '', '.all', '.x']) + '='
                + dice.choice(['1', '2', '4', '64', '.5', '2+3', *ODD]))
    if kind == 'NAME=LOW:HIGH':
        return dice.choice(NUMBERS) + dice.choice(
            ['=1:2', '=.1:.5', '=2:1', '=nan:1', '=1e400:2', '=', '=0:0', '=1:' + '9'*400])
    if kind == 'A-B': return dice.choice(['0', '7', '100-101', '300-301', '5-4', f"0-{'9'*20}"])
    if action.type in (int, float) or kind == 'N':
        return dice.choice(['1', '2', '3', '10', '100', '0.5'])
    if kind in LIKELY and dice.random() < .7: return dice.choice(LIKELY[kind])
    return dice.choice([*PLACES, *FILES, 'poem.txt'])


def line_for(verb, dice):
    "A random command line for a verb, from what its parser knows."
    from speedrun_course.__main__ import parser
    words, subs = [verb], {verb: parser(verb)._subparsers._group_actions[0].choices[verb]}
    own = subs[verb]
    while own:
        deeper = None
        for a in own._actions:
            if isinstance(a, argparse._SubParsersAction):
                words.append(dice.choice([*a.choices]) if dice.random() < .95 else dice.choice(ODD))
                deeper = a.choices.get(words[-1])
            elif not a.option_strings:
                count = {None: 1, '?': dice.randrange(2), '*': dice.randrange(3),
                         '+': dice.randrange(1, 4)}[a.nargs]
                words += [word_for(a, dice) for _ in range(count)]
            elif a.dest != 'help' and (a.required or dice.random() < .3):
                words += [a.option_strings[0]] + [word_for(a, dice)]*(a.nargs != 0)
        own = deeper
    if verb in ('train', 'trial', 'measure') and dice.random() < .7:
        words += ['--set', f"steps={2 if verb != 'trial' else 10}", '--set', 'evals=1',
                  '--set', 'width=32']
    if dice.random() < .05: words.insert(dice.randrange(len(words)+1), dice.choice([*ODD, '--help']))
    return words


def obey(words, folder):
    "What a child does: call the program in its folder, with little memory, and leave a status."
    from speedrun_course.__main__ import main
    os.setsid()
    os.chdir(folder)
    for fd, name in enumerate(['/dev/null', folder/'.out', folder/'.err']):
        os.dup2(os.open(name, os.O_RDWR | os.O_CREAT), fd)
    sys.stdout, sys.stderr = (open(1, 'w', closefd=False),
                              open(2, 'w', closefd=False, errors='backslashreplace'))
    trace = open(folder/'.trace', 'w')
    faulthandler.register(signal.SIGUSR1, file=trace, all_threads=False)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (DISK, DISK))
    status = 1
    try: status = main(words)
    except SystemExit as e: status = e.code if isinstance(e.code, int) else 0 if e.code is None else 1
    except BaseException: traceback.print_exc()
    with contextlib.suppress(OSError): sys.stdout.flush(); sys.stderr.flush()
    os._exit(status)


def spent(child):
    "Seconds of a processor that a process has taken."
    try: fields = Path(f'/proc/{child}/stat').read_text().rpartition(')')[2].split()
    except OSError: return 0
    return (int(fields[11]) + int(fields[12]))/os.sysconf('SC_CLK_TCK')


def judged(words, good, dice, limit=LIMIT):
    "Run a line; how it ended: well, ran (still at work), or what was wrong."
    with tempfile.TemporaryDirectory() as tmp:
        folder = Path(tmp)
        furnish(folder, good, dice)
        child, start, status = os.fork(), time.monotonic(), None
        if not child: obey(words, folder)
        while status is None and spent(child) < limit and time.monotonic() < start + SLOW*limit:
            done, code = os.waitpid(child, os.WNOHANG)
            if done: status = os.waitstatus_to_exitcode(code)
            else: time.sleep(.01)
        if status is None:
            os.kill(child, signal.SIGUSR1)   # where is it?
            time.sleep(.3)
        with contextlib.suppress(ProcessLookupError): os.killpg(child, signal.SIGKILL)
        if status is None: os.waitpid(child, 0)
        (folder/'locked').chmod(0o700)
        read = (lambda name: (folder/name).read_text('utf-8', 'backslashreplace')
                if (folder/name).exists() else '')
        out, err, trace = read('.out'), read('.err'), read('.trace')
    if status is None: return ('ran', '') if WORK.search(trace) else ('endless', trace[-1500:])
    lines = [x for x in err.splitlines() if not x.startswith((' ', 'usage:'))]
    if 'Traceback' in err: return 'traceback', err[-1500:]
    if (status not in (0, 1, 2, 130) or status == 1
        and words[0] not in ('claim', 'doctor', 'compile')):
        return f'status {status}', err[-1500:]
    if re.search(r'[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\udc80-\udcff]',
                 out + err.replace('\r', '')):
        return 'raw characters', ascii((out + err)[-1500:])
    if status == 2 and not 1 <= len(lines) <= 5: return f'{len(lines)} lines', err[-1500:]
    return 'well', ''


def make_good(folder):
    "A folder with what a good user has: a run, shards, results and a planned trial."
    from speedrun_course.__main__ import main
    from speedrun_course.race.data import SHIPPED
    shutil.copytree(SHIPPED['pocket'], folder/'shards')
    for name in ('official/nanogpt.jsonl', 'official/muon.jsonl', 'bench/nanogpt-muon.jsonl'):
        (folder/'results'/name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root/'results'/name, folder/'results'/name)
    with contextlib.chdir(folder), contextlib.redirect_stdout(sys.stderr):
        small = ['--set', 'width=32', '--set', 'layers=1', '--set', 'evals=1']
        assert main(['train', 'muon', '--steps', '2', '--out', 'run', *small]) == 0
        assert main(['train', 'muon', '--steps', '4', '--stop', '2', '--out', 'half', *small]) == 0
        assert main(['trial', 'baseline', 'muon', '--track', 'pocket', '--name', 'trial', '--seeds',
                     '100-101', '--set', 'steps=10', *small]) == 0
    question = dict(ctx='In the forest stands',
                    endings=[' a man.', ' a tree.', ' a house.', ' nothing.'], label=0)
    (folder/'answers.jsonl').write_text((json.dumps(question) + '\n')*2)
    (folder/'mine.py').write_text('from speedrun_course.catalog import record\nidea = '
                                  'record("muon").but("idea", "Try this", pocket=dict(width=32))\n')


def work(n, seed, limit):
    """The process that draws and runs lines, with a copy of the package that has no repository
    around it; a verdict a line on stdout."""
    from speedrun_course.__main__ import VERBS, parser
    for verb in VERBS: parser(verb)   # import everything once; a child is a fork
    dice = random.Random(seed)
    with tempfile.TemporaryDirectory() as tmp:
        make_good(Path(tmp))
        for k in range(n):
            verb = dice.choice([v for v in VERBS for _ in range(1 if v in RARE else 3)])
            words = line_for(verb, dice)
            start = time.monotonic()
            verdict, more = judged(words, tmp, dice, limit)
            print(json.dumps([k, words, verdict, more, time.monotonic() - start]), flush=True)


def lines(n=1000, seed=0, limit=LIMIT, say=print):
    """Run random command lines; their number by verdict, and the findings: (line, verdict, what was
    seen)."""
    with tempfile.TemporaryDirectory() as tmp:
        shutil.copytree(root/'speedrun_course', Path(tmp)/'speedrun_course')
        env = os.environ | dict(PYTHONPATH=os.pathsep.join([tmp, str(root/'dev')]),
                                HOME=tmp, OMP_NUM_THREADS='1', HF_HUB_OFFLINE='1', PIP_NO_INDEX='1',
                                WANDB_MODE='offline', MPLBACKEND='agg', PYTHONSAFEPATH='1')
        started = subprocess.Popen(
            [sys.executable, '-c', f'import fuzz; fuzz.work({n}, {seed}, {limit})'], cwd=tmp,
            env=env, stdout=subprocess.PIPE, text=True)
        heard = [json.loads(line) for line in tell_each(started.stdout, say)]
        if started.wait() or len(heard) < n:
            raise RuntimeError(f'the process that runs the lines ended with {started.returncode} '
                               f'after {len(heard)} of {n}')
    counts = {}
    for _, _, verdict, *_ in heard: counts[verdict] = counts.get(verdict, 0) + 1
    return counts, [(words, verdict, more)
                    for _, words, verdict, more, _ in heard if verdict not in ('well', 'ran')]


def tell_each(stream, say):
    "The verdicts as they come; findings are said at once."
    for text in stream:
        k, words, verdict, more, seconds = json.loads(text)
        if verdict not in ('well', 'ran'):
            say(f'--- {k}: {verdict} after {seconds:.1f} s\n{ascii(words)}\n{more}')
        yield text


def report(name, facts):
    "Keep counts with date and commit."
    from cells import root as _  # noqa: F401 - this clone's package
    from speedrun_course.files import write_json
    from speedrun_course.race.results import commit
    write_json(root/'results'/'faults'/f'{name}.json',
               facts | dict(date=datetime.date.today().isoformat(), commit=commit()))


def fuzz_lines(a):
    "The verdict on random command lines: printed, counted, kept."
    counts, findings = lines(a.n, a.seed)
    report('lines', dict(n=a.n, seed=a.seed, well=counts.get('well', 0), ran=counts.get('ran', 0),
                         findings=[f'{verdict}: {ascii(words)}' for words, verdict, _ in findings]))
    print(f"{a.n} lines of seed {a.seed}: {counts.get('well', 0)} ended well, "
          f"{counts.get('ran', 0)} ran on, {len(findings)} findings")
    return int(bool(findings))


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(metavar='WHAT', required=True)
    a = kinds.add_parser('lines', help='random command lines')
    a.add_argument('--n', type=int, default=1000, help='how many (default %(default)s)')
    a.add_argument('--seed', type=int, default=0, help='of the dice (default %(default)s)')
    a.set_defaults(do=fuzz_lines)
    asked = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True)   # findings are seen as they come
    sys.exit(asked.do(asked))


if __name__ == '__main__': main()
