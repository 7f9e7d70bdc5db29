"""The front page's timeline: every official record, what it bought, and the lesson that teaches it."""
import json
import math
import re
from functools import cache
from html import escape

import nbformat

from cells import lessons
from reference import exported, title
from speedrun_course import records as statements
from speedrun_course.catalog import records
from speedrun_course.lab.history import DIAL_COLOR, DIALS, gains, history


def slug(heading):
    "A heading's anchor, as the site makes it."
    return re.sub(r'[^\w\- ]', '', heading.strip().lower()).replace(' ', '-')


@cache
def taught():
    """Record -> page and anchor: where a recipe stands for it, or else where a list of ideas names
    it: `* **Idea** (record 28)`."""
    found = {1: ('03_baseline', '')}   # its model; the recipe comes some lessons later
    page = {getattr(statements, name).name: page
            for name, (_, page, _) in exported('records')[1].items()}
    for name, recipe in records().items():
        for n in recipe.history: found.setdefault(n, (page[name], ''))
    for path in lessons():
        heading = ''
        for cell in nbformat.read(path, 4).cells:
            if cell.cell_type != 'markdown': continue
            for m in re.finditer(r'^#+ (.+)|^\* \*\*[^*]+\*\* \((?:record )?(\d+)\)',
                                 cell.source, flags=re.M):
                if m[1]: heading = '#' + slug(m[1])
                else: found.setdefault(int(m[2]), (path.stem, heading))
    return found


def road(stem):
    "The race as a strip, a bar for each record and its minutes, with those of a lesson lit; or ''."
    here = [n for n, (page, _) in taught().items() if page == stem]
    if not here: return ''
    bars = []
    for r in history():
        height = 4 + 30*math.log(r.minutes)/math.log(history()[0].minutes)
        color = DIAL_COLOR.get(r.dial, 'currentColor')   # the first turned no dial
        lit = (f' fill="{color}"><title>{r.record}: {escape(r.title)}, '
               f'{r.minutes:g} minutes</title></rect>' if r.record in here else '/>')
        bars.append(f'<rect x="{10*r.record - 10}" y="{34 - height:.1f}" width="8" '
                    f'height="{height:.1f}"{lit}')
    names = ', '.join(map(str, sorted(here)))
    label = f"Here: record{'s' if len(here) > 1 else ''} {names} of {len(history())}"
    return (f'<figure class="road"><svg viewBox="0 0 890 34" preserveAspectRatio="none" role="img" '
            f'aria-label="{label}">{"".join(bars)}</svg><figcaption>{label}</figcaption></figure>')


def rows():
    "What the page says of each record."
    all_records, where = history(), taught()
    gain = gains(all_records)
    for r in all_records:
        page, anchor = where.get(r.record, ('', ''))
        again = f', {r.before} when timed again' if r.before else ''
        yield dict(record=r.record, date=f'{r.date:%Y-%m-%d}',
                   minutes=r.minutes, title=r.title, what=r.what, dial=r.dial,
                   dials=' and '.join(DIALS[d] for d in (r.dial, r.also) if d),
                   bought=(f'{1 - math.exp(-gain[r.record]):.1%} less time than record '
                           f'{r.record - 1}{again}' if r.record in gain else ''),
                   href=page and f'{page}.html{anchor}', lesson=page and title(page))


def lighter(color, share=.42):
    "A colour for a dark ground."
    return '#' + ''.join(f'{round(255 - (255 - int(color[i:i+2], 16))*(1 - share)):02x}'
                         for i in (1, 3, 5))


def html():
    "What stands below the static picture; the script puts its chart in the picture's place."
    data = dict(records=list(rows()),
                dials=[dict(key=d, name=name, light=DIAL_COLOR[d], dark=lighter(DIAL_COLOR[d]))
                       for d, name in DIALS.items()])
    link = lambda r: f'<a href="{r["href"]}">{escape(r["lesson"])}</a>' if r['href'] else ''
    table = ''.join(f'<tr><td>{r["record"]}</td><td>{r["date"]}</td><td>{r["minutes"]:g}</td>'
                    f'<td>{r["bought"].partition(" ")[0]}</td>'
                    f'<td><strong>{escape(r["title"])}.</strong> {escape(r["what"])}</td>'
                    f'<td>{link(r)}</td></tr>' for r in data['records'])
    text = json.dumps(data, ensure_ascii=False).replace('</', '<\\/')   # no tag ends inside a string
    heads = ''.join(f'<th>{h}</th>'
                    for h in ('record', 'date', 'minutes', 'less time', 'what changed', 'lesson'))
    return f'''<div id="timeline" hidden></div>
<div id="timeline-card" aria-live="polite" hidden></div>
<div id="timeline-help" hidden><p>A point is an official record, in the colour of the dial it turned;
the legend switches dials off. A filled point opens the lesson that teaches it;
a hollow one has no lesson yet.</p>
<p>Across: <label><input type="radio" name="timeline-axis" value="date" checked> dates</label>
<label><input type="radio" name="timeline-axis" value="record"> records</label></p></div>
<details class="records"><summary>All {len(data['records'])} records as a table</summary>
<div class="table-wrapper"><table class="docutils"><thead><tr>{heads}</tr></thead>
<tbody>{table}</tbody></table></div></details>
<script type="application/json" id="timeline-data">{text}</script>
<script defer src="_static/plotly.min.js"></script>
<script defer src="_static/timeline.js"></script>
'''
