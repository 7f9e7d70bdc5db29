"""The course as a whole: its parts, and what each lesson is about. The front page's map and the
site's sidebar are made of it."""
import re
from dataclasses import dataclass
from functools import cache

import nbformat

from cells import directives, lessons, shown
from speedrun_course.recipe import PLACES

PARTS = {   # caption -> numbers of its lessons, and what it is for
    'I Foundations': (range(0, 10), 'From text to a first trained transformer, and how to tell a real '
                      'gain from luck. You need Python and a little PyTorch.'),
    'II The first half': (range(10, 20), '45 to 2.8 minutes: records 1 to 27, one idea each. You need '
                          'part I, and matrices.'),
    'III The second half': (range(20, 40), '2.8 to 1.23 minutes: what came after record 27. You need '
                            'part II.'),
    'IV Research': (range(40, 50), 'How to judge an idea of your own, and what the ideas of the race '
                    'are worth. You need part I; each lesson names what else it builds on.'),
    'V Doing it': (range(50, 60), 'From this machine to a record attempt on eight GPUs, and what to do '
                   'with the model afterwards. You need part I.'),
    'Appendices': (range(60, 100), 'Programs and bookkeeping that the lessons use. To look things up, '
                   'not to read through.')}


@dataclass
class Lesson:
    stem: str      # the notebook's name
    title: str
    summary: str   # the line under the title
    module: str    # that it exports to; '' for none
    minutes: int   # to read
    uses: list     # modules that its own module imports


def minutes(nb):
    """How long a page takes to read: words/200 of prose and lines/25 of the code that it shows
    unfolded; outputs are not counted."""
    words = sum(len(c.source.split()) for c in nb.cells if c.cell_type == 'markdown')
    lines = sum(bool(line.strip())
                for c in nb.cells if c.cell_type == 'code' and not c.metadata.get('tags')
                for line in c.source.splitlines())
    return max(1, round(words/200 + lines/25))


def lesson(path):
    "What the notebook at `path` says of itself."
    page = shown(path)
    title = re.search(r'^# (.+)', page.cells[0].source, flags=re.M)[1]
    summary = re.search(r'^> (.+)', page.cells[0].source, flags=re.M)[1]
    cells = [directives(c) for c in nbformat.read(path, 4).cells if c.cell_type == 'code']
    module = next((has['default_exp'] for has, _ in cells if 'default_exp' in has), '')
    exported = '\n'.join(source for has, source in cells if 'export' in has)
    uses = re.findall(r'^from speedrun_course\.([\w.]+) import', exported, flags=re.M)
    return Lesson(path.stem, title, summary, module, minutes(page), uses)


@cache
def parts():
    "Caption -> lessons, for each part of the course that has some."
    found = {caption: [] for caption in PARTS}
    for path in lessons()[1:]:   # without the front page
        number = int(path.stem.partition('_')[0])
        caption = next((c for c, (numbers, _) in PARTS.items() if number in numbers), None)
        if caption is None:
            raise SystemExit(f'{path.name}: no part of the course has number {number}; '
                             'see PARTS in dev/course.py')
        found[caption].append(lesson(path))
    return {caption: some for caption, some in found.items() if some}


@cache
def in_order():
    "Name -> lesson, in reading order, without the appendices."
    return {x.stem: x for caption, some in parts().items() if caption != 'Appendices' for x in some}


def number(stem):
    "The place of a lesson in reading order, from 1; 0 for an appendix."
    return [*in_order()].index(stem) + 1 if stem in in_order() else 0


def builds_on(stem):
    "The earlier lessons whose modules a lesson's module imports."
    earlier = [*in_order().values()][:max(0, number(stem) - 1)]
    return [x for x in earlier if x.module and x.module in in_order()[stem].uses]


def lesson_of(f):
    "The lesson that defines a part."
    module = getattr(f, 'func', f).__module__.partition('.')[2]
    return next(x.stem for some in parts().values() for x in some if x.module == module)


def explained(r):
    "Place -> page, for each place of the recipe `r` that holds a part of some lesson."
    held = {place: getattr(r, place) for place in PLACES}
    held = {place: getattr(x, 'func', x) for place, x in held.items() if callable(x)}
    return {place: f'{lesson_of(f)}.ipynb' for place, f in held.items()
            if not f.__doc__.startswith('The neutral')}


def course_map():
    "The map on the front page, in markdown: what each part is for, and a table of its lessons."
    lines = []
    for caption, some in parts().items():
        hours = f'{sum(x.minutes for x in some)/60:.1f} hours to read.'
        table = ['| lesson | what it brings | module | minutes |', '|---|---|---|---|',
                 *(f"| [{x.title}]({x.stem}.ipynb) | {x.summary} | "
                   f"{f'`{x.module}`' if x.module else '–'} | {x.minutes} |" for x in some)]
        if caption == 'Appendices':
            table = ['<details><summary>All of them</summary>', '', *table, '', '</details>']
        lines += [f'**{caption}.** {PARTS[caption][1]} {hours}', '', *table, '']
    return '\n'.join(lines)
