"""Begin a lesson: a notebook with all cells that a lesson has, and a record that can be exported at
once. Fill in, replace, run.

    python dev/new.py NAME "Title" --after NUMBER [--parent RECORD]

The notebook gets the next number; the part's module is speedrun_course/parts/NAME.py, and the
record is called NAME. No other file needs to be touched by hand: CONTRIBUTING.md, "Add a record",
says how to go on.
"""
import argparse
import keyword
import re
import sys

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from cells import COLAB, lessons, nbs, root
from execute import LANGUAGE
from course import PARTS
from reference import exported, modules
from speedrun_course import records as statements

PART = '''#| export
class {Part}(nn.Module):
    "Say in a line what it does (record N)"
    neutral = dict(share=0.)                               # with this it changes nothing
    def __init__(self, r, i, then): # recipe, number of the block, the part that did this alone
        super().__init__()
        self.then, self.share = then(r, i), param(role='scalar', init=constant(0))
    def forward(self, x, ctx): return self.then(x, ctx) + self.share*ctx.x0'''

TEST = '''torch.manual_seed(0)
r = {parent}.on('pocket')
x, x0 = torch.randn(2, 2, 8, r.width)
mine, ctx = {Part}(r, 0, then=Keep), SimpleNamespace(x0=x0)
initialise(mine)
assert torch.equal(mine(x, ctx), x)                        # at first it changes nothing
with torch.no_grad(): mine.share.fill_(2.)
y = mine(x, ctx)
for b, t in ((0, 0), (0, 7), (1, 3)): # the slow way, a token at a time
    test_close(y[b, t], x[b, t] + 2*x0[b, t])'''

RECORD = '''#| export records
{name} = {parent}.but('{name}', 'Say what it does', interpolated=True,
    inject=part({Part}, then={parent}.inject))'''

LIVE = '''pocket = corpus()
race = Race({name}.on('pocket'), pocket, seed=0, stop=20)
losses, _ = follow(race, Live())
print(f'loss after {{race.done}} steps: {{losses[-1]:.2f}}')
assert losses[-1] < losses[0]'''

CELLS = [   # id and text of every cell; a text- is prose
    ('title', '# {title}\n\n> Say in a line what is in the module, and which records (record N)'),
    ('colab', COLAB),
    ('text-where-we-stand',
     'Where do we stand, what hurts, what does this lesson buy: numbers before and after.'),
    ('default-exp', '#| default_exp parts.{name}'),
    ('style', '#| hide\nfrom speedrun_course.lab.figures import style\nstyle()'),
    ('imports', '#| export\nimport torch.nn as nn\n'
                'from speedrun_course.parts.baseline import constant, param'),
    ('notebook-imports', '''from types import SimpleNamespace
import torch
from fastcore.test import test_close
from speedrun_course.catalog import record
from speedrun_course.lab.audit import standings
from speedrun_course.lab.drawing import strip
from speedrun_course.lab.figures import Live
from speedrun_course.lab.jobs import collect
from speedrun_course.lab.statement import describe
from speedrun_course.lab.worth import card
from speedrun_course.parts.baseline import Keep, initialise
from speedrun_course.race.data import corpus
from speedrun_course.race.loop import Race, follow
from speedrun_course.recipe import part
from speedrun_course.records import {parent}'''),
    ('strip', "#| echo: false\nstrip(record('{name}'))"),
    ('text-the-problem', '## The problem\n\n'
                         'Show it by a plot or a number, made by a cell below this one.'),
    ('text-the-idea', '## The idea\n\nOne formula, one picture.'),
    ('text-the-part', '## The part'),
    ('part', PART),
    ('test-part', TEST),
    ('text-the-record', '## The record\n\n'
                        'What it changes in its parent, and what that bought officially.'),
    ('records-imports', '#| export records\n#| hide\n#| notest\n'
                        'from speedrun_course.parts.{name} import *'),
    ('{name}-record', RECORD),
    ('show-record', 'describe({name})'),
    ('live', LIVE),
    ('full-races', "#| slow\ncollect(record('{name}'), range(100, 110), show=True)"),
    ('races', "print(standings('{parent}', '{name}'))"),
    ('text-card', '## The card\n\nWhat it brought in the official race, and what it changes '
                  'on the desk track when all get the same tokens '
                  '([What each part is worth](44_worth.ipynb)):'),
    ('card', "card('{name}')"),
    ('text-history', '## Where this lives in history\n\n'
                     '| record | minutes | what it brought |\n|---|---|---|\n| N | | |'),
    ('text-recap', '## Recap\n\n* One thing to remember.\n* A second.\n* A third.'),
    ('text-exercises', '## Exercises\n\n'
                       '1. A number, some code, or a prediction: at least one of each.\n\n'
                       '<details><summary>Hint</summary>Where to look.</details>'),
    ('exercise-1', '#| exercise\nbefore = ...                                               '
                   '# how many records {name} has before it\n'
                   'assert before == len({name}.line()) - 1'),
    ('answer-1', '#| code-fold: true\n#| code-summary: "Answer 1"\n'
                 'before = len({parent}.line())\nassert before == len({name}.line()) - 1'),
    ('text-further-reading', '## Further reading\n\n'
                             '* Author, [Title](https://arxiv.org), what it is good for.'),
]


def parent_of(number):
    "The last record with a place in history that a lesson up to this number states."
    found = [name for name, (_, page, _) in exported('records')[1].items()
             if int(page[:2]) <= number and getattr(statements, name).history]
    return found[-1] if found else sys.exit(f'--after {number}: no record is stated so early; '
                                            'lessons of records come after 07')


def place(after):
    "The number of a lesson that stands next to lesson `after`."
    taken, number = {int(p.name[:2]) for p in lessons()[1:]}, after + 1
    if after not in taken: sys.exit(f'--after {after}: no lesson has this number')
    if number in taken or not any(number in numbers for numbers, _ in PARTS.values()):
        free = [n for n in sorted(taken) if n + 1 not in taken
                and any(n + 1 in numbers for numbers, _ in PARTS.values())]
        sys.exit(f'--after {after}: no number is free there; '
                 f'there is room after {", ".join(map(str, free))}')
    return number


def notebook(name, title, parent):
    "The new lesson."
    words = dict(name=name, title=title, parent=parent, Part=name.title().replace('_', ''))
    cells = []
    for key, text in CELLS:
        make = new_markdown_cell if key == 'title' or key.startswith('text-') else new_code_cell
        cells.append(make(text.format(**words), id=key.format(**words)))
    return new_notebook(
        cells=cells,
        metadata=dict(kernelspec=dict(name='python3', language='python', display_name='python3'),
                      language_info=LANGUAGE))


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('name', help='of module and record, such as smear')
    parser.add_argument('title', help='as readers see it, such as "Smear"')
    parser.add_argument('--after', type=int, required=True, metavar='NUMBER',
                        help='of the lesson that it follows')
    parser.add_argument('--parent', metavar='RECORD',
                        help='what it changes (default: the last official record before it)')
    args = parser.parse_args()
    known = exported('records')[1]
    if not re.fullmatch('[a-z][a-z0-9_]*', args.name) or keyword.iskeyword(args.name):
        sys.exit(f'{args.name}: write small letters, digits and _, as in smear')
    if args.name in known or f'parts.{args.name}' in modules():
        sys.exit(f'{args.name}: there is a record or a part of that name')
    path, parent = (nbs/f'{place(args.after):02d}_{args.name}.ipynb',
                    args.parent or parent_of(args.after))
    if parent not in known:
        sys.exit(f'--parent {parent}: no record is called that; there are {", ".join(known)}')
    nbformat.write(notebook(args.name, args.title, parent), path)
    print(f'{path.relative_to(root)}: the record {args.name}, made from {parent}')


if __name__ == '__main__': main()
