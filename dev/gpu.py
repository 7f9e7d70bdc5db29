"""What only a GPU can show. Raw numbers go to results/gpu/, from where lessons and README read them.

    PYTHONPATH=. python dev/gpu.py [--out DIR] [--small] [CHECK …]     default: all checks

Needs torch, numpy, tqdm and this clone, nothing else. --small tries the script itself, on any machine.
"""
import argparse
import statistics
import sys
import time
import traceback
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch._dynamo.testing
import torch.distributed as dist
import torch.nn.functional as F

from speedrun_course.catalog import default, record
from speedrun_course.lab.profile import floor, roofline, spent
from speedrun_course.parts.baseline import GPT, Context, Now, attend
from speedrun_course.parts.flex import Mask, blockwise, by_device, documents
from speedrun_course.parts.fp8 import product8, scales
from speedrun_course.parts.packed import Near
from speedrun_course.parts.varlen import by_lengths_on
from speedrun_course.race.data import Corpus, corpus
from speedrun_course.race.loop import Race, follow, gradients, validate
from speedrun_course.race.machine import hardware
from speedrun_course.race.plan import flops, mfu
from speedrun_course.files import write_json
from speedrun_course.race.results import commit, machine
from speedrun_course.race.run import warm_up
from speedrun_course.recipe import TARGET, override
from speedrun_course.use.generate import Cache, Trained, generate

DEVICE = 'cuda' if torch.cuda.is_available() else 'cpu'
KERNELS = 128   # tokens in a block


def sync():
    if DEVICE == 'cuda': torch.cuda.synchronize()


def measured(f, repeats=20):
    "Median milliseconds of f() after three to warm up, and the peak of memory it took, in MiB."
    for _ in range(3): f()
    sync()
    if DEVICE == 'cuda':
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        f()
        sync()
        times.append(time.perf_counter() - start)
    peak = (torch.cuda.max_memory_allocated() - before)/2**20 if DEVICE == 'cuda' else None
    return statistics.median(times)*1e3, peak


def text(T, mean=690, rows=1):
    "Tokens whose documents are as long as FineWeb's on average."
    rng = np.random.default_rng(T)
    ids = rng.integers(0, 50256, (rows, T))
    return torch.from_numpy(np.where(rng.random((rows, T)) < 1/mean, 50256, ids)).to(DEVICE)


def error(a, b):
    return ((a.float() - b.float()).norm()/b.float().norm()).item()


def flex(small):
    "Compiled FlexAttention, forward and backward, against fp32; time and memory against causal SDPA."
    rows = []
    for T in [1024] if small else [2**k for k in range(10, 17)]:
        torch.manual_seed(0)
        torch._dynamo.reset()
        tokens, back = text(T), by_device(DEVICE)
        q, k, v, up = (torch.randn(1, 6, T, 128, device=DEVICE, dtype=torch.bfloat16) for _ in range(4))
        leaves = [t.requires_grad_() for t in (q, k, v)]
        ctx, scale = Context(tokens, back), .12
        new = lambda near: Mask(documents(tokens, 50256), torch.tensor(near, device=DEVICE), KERNELS)

        def run(f, mask=None):
            "As a step does: the mask made anew, forward, backward"
            y = f(*leaves, ctx, scale, mask)
            return y, torch.autograd.grad(y, leaves, up)

        for near in (1, 4, 14):
            y, grads = run(back, new(near))
            exact = [t.detach().float().requires_grad_() for t in leaves]
            want = blockwise(*exact, ctx, scale, new(near))
            wanted = torch.autograd.grad(want, exact, up.float())
            row = dict(T=T, near=near, forward=error(y, want),
                       backward=[error(a, b) for a, b in zip(grads, wanted)])
            if T <= 8192: # the oracle's own oracle
                row['oracle'] = error(want, attend(*exact, ctx, scale, new(near)))
            row['ms'], row['mib'] = measured(lambda: run(back, new(near)))
            rows.append(row)
        ms, mib = measured(lambda: run(lambda q, k, v, ctx, scale, mask: F.scaled_dot_product_attention(
            q, k, v, is_causal=True, scale=scale)))
        rows.append(dict(T=T, near=None, ms=ms, mib=mib))
        print(*rows[-4:], sep='\n')
    masked = [r for r in rows if r['near']]
    worst = max(max([r['forward'], *r['backward']]) for r in masked)
    last = {r['near']: r['ms'] for r in rows if r['T'] == rows[-1]['T']}
    says = (f'forward and backward within {worst:.1%} of fp32 at up to {rows[-1]["T"]:,} tokens, '
            f'{last[None]/last[14]:.1f} times as fast there as causal attention without a mask')
    return dict(rows=rows, says=says, passed=worst < .02)


def lengths(small):
    "Attention by lengths against the dense mask in fp32, and its time beside FlexAttention's."
    rows = []
    for T in [1024] if small else [16_384, 32_768, 49_152]:
        torch._dynamo.reset()
        torch.manual_seed(0)
        tokens, other = text(T), by_device(DEVICE)
        q, k, v, up = (torch.randn(1, 6, T, 128, device=DEVICE, dtype=torch.bfloat16) for _ in range(4))
        leaves = [t.requires_grad_() for t in (q, k, v)]
        backs = dict(flex=other) | (dict(lengths=by_lengths_on(DEVICE)) if DEVICE == 'cuda' else {})
        for near in (128, 640, 1408):
            def run(f, *leaves, up=up):
                "As a step does: the mask made anew, forward, backward"
                mask = Near(documents(tokens, 50256), torch.tensor(near, device=DEVICE), KERNELS)
                mask.tokens = near
                y = f(*leaves, Context(tokens, f, Now()), .12, mask)
                return y, torch.autograd.grad(y, leaves, up)
            exact = [t.detach().float().requires_grad_() for t in leaves]
            want, wanted = run(blockwise, *exact, up=up.float())
            for name, back in backs.items():
                back = torch.compile(back, dynamic=False) if DEVICE == 'cuda' else back
                y, grads = run(back, *leaves)
                row = dict(T=T, near=near, back=name, forward=error(y, want),
                           backward=[error(a, b) for a, b in zip(grads, wanted)])
                row['ms'], row['mib'] = measured(lambda: run(back, *leaves))
                rows.append(row)
                print(row)
    worst = max(max([r['forward'], *r['backward']]) for r in rows)
    last = {r['back']: r['ms'] for r in rows if (r['T'], r['near']) == (rows[-1]['T'], 640)}
    says = f'forward and backward within {worst:.1%} of fp32 at up to {rows[-1]["T"]:,} tokens'
    if len(last) == 2: says += f", {last['flex']/last['lengths']:.2f} times as fast as FlexAttention"
    return dict(rows=rows, says=says, passed=worst < .02)


def shuffle(model):
    """Give every matrix random numbers: as built, a model's last matrix is zero, and nothing would
    be seen."""
    dice = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in model.parameters():
            if p.dim() > 1: p.copy_(torch.empty(p.shape).normal_(0, p.shape[-1]**-.5, generator=dice))


def windows_of(name, small):
    """One whole model, compiled, with each of its windows, beside the dense mask; the last row also
    has the time of a forward and backward."""
    torch.manual_seed(0)
    torch._dynamo.reset()
    r, rows = record(name).on('pocket' if small else 'fineweb'), []
    if not small: r = override(r, 'seq=8192')
    back = by_device(DEVICE) if DEVICE == 'cuda' else attend # what a CPU runs is never compiled
    model, dense = GPT(r, attend=back).to(DEVICE), GPT(r, attend=attend).to(DEVICE)
    shuffle(model)
    dense.load_state_dict(model.state_dict())
    graphs = torch._dynamo.testing.CompileCounterWithBackend('inductor' if DEVICE == 'cuda'
                                                             else 'aot_eager')
    step = torch.compile(model, backend=graphs, dynamic=False, fullgraph=True)
    ids = text(r.seq) % r.vocab
    x, y = ids, ids.roll(-1, 1)
    for near in sorted({r.schedule(r, s).window.item() for s in range(r.steps)}):
        now = Now(window=torch.tensor(near)).to(DEVICE)
        with torch.autocast(DEVICE, torch.bfloat16, enabled=not small):
            loss = step(x, y, now)
            loss.backward()
            with torch.no_grad(): want = dense(x, y, now)
        rows.append(dict(record=name, window=near, loss=loss.item(), dense=want.item(),
                         graphs=graphs.frame_count))
        print(rows[-1])

    def both():
        with torch.autocast(DEVICE, torch.bfloat16, enabled=not small): step(x, y, now).backward()
        model.zero_grad()

    rows[-1]['ms'], rows[-1]['mib'] = measured(both, 3 if small else 20) # with the widest window
    return rows


def whole(names, small):
    """Whole models with a window, compiled: one program for all windows, the loss of the dense
    mask; and the time of a forward and backward."""
    rows = [row for name in names for row in windows_of(name, small)]
    worst = max(abs(r['loss']-r['dense']) for r in rows)
    return dict(rows=rows, passed=worst < .02 and all(r['graphs'] == 1 for r in rows)), worst


def window(small):
    "Every record with a window."
    found, worst = whole(('flex', 'windows', 'longshort'), small)
    return found | dict(says=f"whole models, compiled: one program for {len(found['rows'])} "
                        f"windows, losses within {worst:.1g} of the dense mask")


def diff(small):
    "Two maps in every head: wide values, shared keys; what they cost beside one map."
    found, worst = whole(('fp8', 'diff', 'diff-thin', 'diff2', 'diff2-narrow'), small)
    ms = {r['record']: r['ms'] for r in found['rows'] if 'ms' in r}
    costs = ', '.join(f"{name} {ms[name]/ms['fp8']:.2f}" for name in ms if name != 'fp8')
    return found | dict(says=f'two maps, compiled: losses within {worst:.1g} of the dense mask; '
                        f'time of a forward and backward over that of fp8: {costs}')


def fp8(small):
    "The head's three products in eight bits, against fp32; time and memory against bf16."
    rows, r = [], record('fp8').on('fineweb')
    if not small: assert torch.cuda.get_device_capability() >= (8, 9), 'this GPU has no fp8'
    for T in [256] if small else (16384, 49152, 65536):
        torch.manual_seed(0)
        torch._dynamo.reset()
        V = 1024 if small else r.vocab
        x = F.rms_norm(torch.randn(T, r.width, device=DEVICE), (r.width,)).bfloat16().requires_grad_()
        w = (torch.randn(V, r.width, device=DEVICE)*.05).requires_grad_()
        label = torch.randint(V, (T,), device=DEVICE)
        s = scales(override(r, f'rows={max(1, T//1024)}', 'seq=1024', 'window=1024'))

        def loss_of(multiply, x, w, label):
            return F.cross_entropy(30*torch.sigmoid(multiply(x, w).float()/7.5), label)

        def run(forward, x=x, label=label):
            "Forward compiled, backward as autograd leaves it: as a training step does"
            loss = forward(x, w, label)
            return loss.detach(), *torch.autograd.grad(loss, (x, w))

        kinds = dict(fp8=lambda x, w: product8(x, w, *s)[0],
                     bf16=lambda x, w: F.linear(x, w.bfloat16()))
        whole = lambda x, w, label: loss_of(lambda x, w: F.linear(x.float(), w), x, w, label)
        # fp32 logits are large
        parts = [run(whole, a.detach().requires_grad_(), b)
                 for a, b in zip(x.split(4096), label.split(4096))]
        shares = [len(a)/T for a in x.split(4096)]
        exact = (sum(p[0]*k for p, k in zip(parts, shares)),
                 torch.cat([p[1]*k for p, k in zip(parts, shares)]),
                 sum(p[2]*k for p, k in zip(parts, shares)))
        for name, multiply in kinds.items():
            forward = torch.compile(partial(loss_of, multiply), dynamic=False, fullgraph=True,
                                    backend='aot_eager' if small else 'inductor')
            found = run(forward)
            row = dict(T=T, kind=name, loss=abs(found[0]-exact[0]).item(),
                       gradients=[error(a, b) for a, b in zip(found[1:], exact[1:])])
            row['ms'], row['mib'] = measured(lambda: run(forward))
            rows.append(row)
            print(row)
    worst = max(max(r['gradients']) for r in rows if r['kind'] == 'fp8')
    ms = {r['kind']: r['ms'] for r in rows if r['T'] == rows[-1]['T']}
    return dict(rows=rows, passed=worst < .07 and max(r['loss'] for r in rows) < .01,
                says=f"gradients within {worst:.1%} of fp32; "
                f"head and loss of {rows[-1]['T']:,} tokens take "
                f"{ms['fp8']:.1f} ms forward and backward, {ms['bf16']:.1f} in bf16")


def updated(recipe, r):
    "Weights after three steps of a recipe's optimizer, and the milliseconds of a further one."
    torch.manual_seed(0)
    model = GPT(r).to(DEVICE)
    shuffle(model)
    optim, now = recipe.optim(model, recipe), r.schedule(r, 0).to(DEVICE)

    def step():
        for i, q in enumerate(model.parameters()): q.grad = 1e-3*(i+1)*q.detach()
        sync()
        begin = time.perf_counter()
        optim.step(now)
        sync()
        return (time.perf_counter()-begin)*1e3

    for _ in range(3): step()
    return ([q.detach().clone() for q in model.parameters()],
            statistics.median(step() for _ in range(10)))


def sharded(small):
    """A team of one: NCCL starts, the sharded optimizer does what the unsharded one does, and how
    long both take."""
    r = record('sharded').on('pocket' if small else 'fineweb')
    if not small: r = override(r, 'seq=8192', 'rows=1')
    start = time.perf_counter()
    gpu = dict(device_id=torch.device('cuda', 0)) if DEVICE == 'cuda' else {}
    dist.init_process_group('nccl' if gpu else 'gloo', store=dist.HashStore(), rank=0,
                            world_size=1, **gpu)
    dist.barrier()
    rows = [dict(what='process group', ms=(time.perf_counter()-start)*1e3)]
    ends = []
    try:
        for recipe in (record('fp8').on(r.track), r):
            weights, ms = updated(recipe, r)
            ends.append(weights)
            rows.append(dict(what=recipe.name, ms=ms))
            print(rows[-1])
    finally: dist.destroy_process_group()
    worst = max(error(a, b) for a, b in zip(*ends))
    rows.append(dict(what='largest difference of weights', relative=worst))
    return dict(rows=rows, passed=worst < 1e-3,
                says=f"after three steps weights agree to {worst:.0e}; a step of the optimizer "
                f"alone takes {rows[2]['ms']:.1f} ms, {rows[1]['ms']:.1f} unsharded")


def raced(name, small):
    """A record on one GPU: milliseconds of a micro-step, memory, share of the peak; and a race on
    real text, without recompiling."""
    gpu, rows = torch.cuda.get_device_name() if DEVICE == 'cuda' else None, []
    desk = corpus('desk')   # speeches; four of its documents are as long as one of FineWeb's
    text, begins = desk.train[0].astype(np.uint16), np.flatnonzero(desk.train[0] == 0)
    text[begins] = np.where(np.arange(len(begins)) % 4, text[begins-1], 50256)

    def racing(*numbers):
        torch._dynamo.reset()
        r = record(name).on('pocket' if small else 'fineweb')
        data = corpus() if small else Corpus('text', [text[:-131_073]], text[-131_073:],
                                             tokenizer=desk.tokenizer)
        race = Race(override(r, 'rows=1', *numbers), data, seed=0)
        start = time.perf_counter()
        warm_up(race)
        rows.append(dict(what='warm-up', seq=race.r.seq, seconds=time.perf_counter()-start))
        # from here on, compiling anything is a failure
        torch._dynamo.config.error_on_recompile = True
        return race

    race = racing(*([] if small else ['val_seq=65536']))
    r = race.r
    for step in (0, r.steps//2, r.steps-1):
        now = race.at(step).to(DEVICE)
        x, y = (t.to(DEVICE) for t in race.loader(now))
        loss = gradients(race.forward, x, y, now, race.hw, summed=True)
        if not loss.isfinite(): raise ValueError(f'step {step}: the loss is {loss.item()}')
        ms, mib = measured(lambda: gradients(race.forward, x, y, now, race.hw, summed=True), 10)
        work = flops(r, step)
        rows.append(dict(what='micro-step', seq=x.shape[1], step=step, ms=ms, mib=mib,
                         tflop=work/1e12, mfu=mfu(r, ms/1e3, gpu, step=step)))
        print(rows[-1])
    ms, _ = measured(lambda: race.optim.step(now), 10)
    rows.append(dict(what='optimizer', ms=ms, peak_mib=torch.cuda.max_memory_allocated()/2**20
                     if DEVICE == 'cuda' else None))
    torch._dynamo.config.error_on_recompile = False
    if DEVICE == 'cuda': # in a step nobody may wait for the GPU
        torch.cuda.set_sync_debug_mode('error')
        for _ in range(3): race.step()
        torch.cuda.set_sync_debug_mode('default')
    del race

    race = racing(f'steps={20 if small else 400}', 'evals=2', *([] if small else ['val_seq=65536']))
    first = validate(race)
    losses, vals = follow(race)
    torch._dynamo.config.error_on_recompile = False
    rows.append(dict(what='race', seq=race.r.seq, first=first, losses=losses, vals=vals,
                     seconds=race.watch.wall))
    mid, last = [x for x in rows if x['what'] == 'micro-step'][1], [*vals.values()][-1]
    share = f"{mid['mfu']:.0%} of the bf16 peak, " if mid['mfu'] else ''
    return dict(rows=rows,
                passed=last < first - (.5 if small else 2) and (small or mid['ms'] < 120),
                says=f"{mid['ms']:.0f} ms for {mid['seq']:,} tokens forward and backward "
                f"in mid-run, {share}{(mid['mib'] or 0)/1024:.1f} GB; "
                f"in {race.r.total} steps on real text the validation loss fell from {first:.2f} to "
                f"{last:.2f}; nothing was compiled after the warm-up")


record27 = partial(raced, 'record27')
record89 = partial(raced, 'record89')


def profile(small):
    "Where record 27's step goes on one GPU: kernels by kind, against the floor."
    r = override(record('record27').on('pocket' if small else 'fineweb'), 'rows=1', 'evals=1',
                 *([] if small else ['seq=49152', 'val_seq=65536']))
    shipped = corpus()
    text = np.where(shipped.train[0] == 0, 50256, shipped.train[0]).astype(np.uint16)
    torch._dynamo.reset()
    race = Race(r, shipped if small else Corpus('text', [text[:-131_073]], text[-131_073:]), seed=0)
    warm_up(race)
    race.go_on(r.steps//2, [], {})
    roof = roofline()
    found, least = spent(race, steps=5), floor(r, roof)
    took = sum(found.values())
    rows = [dict(what=k, ms=1e3*v, floor_ms=1e3*least.get(k, 0)) for k, v in found.items()]
    rows.append(dict(what='roof', flops=roof.flops, bytes=roof.bytes, near=roof.near))
    most = sorted(found, key=found.get)[:-4:-1]
    return dict(rows=rows, passed=took > sum(least.values()),
                says=f"a step of {r.rows*r.seq:,} tokens takes {1e3*took:.0f} ms, "
                f"its floor is {1e3*sum(least.values()):.0f}; most of it: "
                + ', '.join(f'{k} {1e3*found[k]:.0f} ms' for k in most))


@torch.inference_mode()
def writes(name, small):
    """A record that reads with a cache: how far its logits are from those of the whole row, and how
    fast it writes."""
    r = record(name).on('fineweb')
    r = override(r, 'layers=2', *(['width=128', f'heads={r.width//r.heads//64}'] if small else []),
                 f'seq={min(r.seq, 2048)}')
    hw = hardware(r)
    t = Trained(GPT(r, attend=hw.attend, fp8=False).to(DEVICE).eval(), r, dict(chars='', data={}), hw)
    for p in t.model.parameters(): p.add_(torch.randn_like(p), alpha=.02)  # no part is silent
    T, n = (300, 20) if small else (1000, 200)
    tokens = text(T) % r.vocab
    whole, cache = t(tokens), Cache(t, r.bos, T)
    pieces = torch.cat([cache.read(tokens[:, a:b]) for a, b in ((0, 200), (200, 201), (201, T))], 1)
    start = time.perf_counter()
    for _ in generate(t, r, tokens[:, :100], n): pass
    return dict(apart=error(pieces, whole), tokens_a_second=n/(time.perf_counter()-start))


def after(small):
    "The pocket's default run on this machine, and what comes after a race."
    race = Race(default(), corpus(), seed=110)
    loss = follow(race)[1][race.done]
    found = {name: writes(name, small) for name in ('nanogpt', 'record27', 'record89', 'diff2',
                                                      'ngrams')}
    worst = max(x['apart'] for x in found.values())
    return dict(passed=loss < TARGET['pocket'] + .02 and worst < .02,
                pocket=dict(loss=loss, wall=race.watch.wall), writes=found,
                says=f"the pocket's default run ends with {loss:.3f} after {race.watch.wall:.1f} "
                f"s; with a cache logits differ by {worst:.1%} at most")


CHECKS = dict(flex=flex, lengths=lengths, window=window, fp8=fp8, sharded=sharded, record27=record27,
              record89=record89, diff=diff, profile=profile, after=after)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checks', nargs='*', metavar='CHECK', help=', '.join(CHECKS))
    parser.add_argument('--out', type=Path, default=Path('results/gpu'))
    parser.add_argument('--small', action='store_true')
    args = parser.parse_args()
    for name in args.checks:
        if name not in CHECKS:
            parser.error(f'no check is called {name!r}; there are {", ".join(CHECKS)}')
    if DEVICE == 'cpu' and not args.small:
        parser.error('no GPU here; --small tries the script without one')
    failed = []
    for name in args.checks or CHECKS:
        print(f'== {name}', flush=True)
        try: found = CHECKS[name](args.small)
        except Exception: # the next check shall run, and the cause be on file
            found = dict(passed=False, says='it ended with an error', error=traceback.format_exc())
            print(found['error'])
        write_json(args.out/f'{name}.json',
                   dict(check=name, commit=commit(), small=args.small, **machine(), **found))
        print(found['says'], '' if found['passed'] else 'FAILED')
        failed += [name]*(not found['passed'])
    sys.exit(bool(failed))


if __name__ == '__main__': main()
