"""The course as a whole: its parts, and what each lesson is about. The front page's map and the
site's sidebar are made of it."""
import re
from dataclasses import dataclass

import nbformat

from cells import directives, lessons, shown

PARTS = {   # caption -> numbers of its lessons
    'I Foundations': range(0, 10), 'II The first half': range(10, 20),
    'III The second half': range(20, 40), 'IV Research': range(40, 50), 'V Doing it': range(50, 60),
    'Appendices': range(60, 100)}


@dataclass
class Lesson:
    stem: str      # the notebook's name
    title: str
    summary: str   # the line under the title
    module: str    # that it exports to; '' for none
    minutes: int   # to read


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
    module = next((d['default_exp'] for c in nbformat.read(path, 4).cells
                   if 'default_exp' in (d := directives(c)[0])), '')
    return Lesson(path.stem, title, summary, module, minutes(page))


def parts():
    "Caption -> lessons, for each part of the course that has some."
    found = {caption: [] for caption in PARTS}
    for path in lessons()[1:]:   # without the front page
        number = int(path.stem.partition('_')[0])
        caption = next((caption for caption, numbers in PARTS.items() if number in numbers), None)
        if caption is None:
            raise SystemExit(f'{path.name}: no part of the course has number {number}; '
                             'see PARTS in dev/course.py')
        found[caption].append(lesson(path))
    return {caption: some for caption, some in found.items() if some}


def course_map():
    "The map on the front page, in markdown: a table for each part."
    lines = []
    for caption, some in parts().items():
        lines += [f'**{caption}**', '', '| lesson | what it brings | module | minutes |',
                  '|---|---|---|---|']
        lines += [f"| [{x.title}]({x.stem}.ipynb) | {x.summary} | "
                  f"{f'`{x.module}`' if x.module else '–'} | {x.minutes} |" for x in some]
        lines.append('')
    return '\n'.join(lines)
