"""The glossary's terms in the site's pages: where a page first uses one, it links there and says on
hover what it means."""
import html
import re
from functools import cache

import nbformat

from cells import nbs

GLOSSARY = nbs/'95_glossary.ipynb'
ROW = r'^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|$'

# Links stay out of code, formulas, other links, HTML, titles and directives.
SKIPPED = re.compile(r'(```.*?```|`[^`\n]*`|\$\$.*?\$\$|\$[^$\n]*\$|!?\[[^\]]*\]\([^)\s]*\)|<[^>]+>'
                     r'|^#[^\n]*|^>[^\n]*|^:::[^\n]*|https?://\S+)', flags=re.S | re.M)


def anchor(term):
    "The id of a term's row."
    return 'term-' + re.sub(r'[^a-z0-9]+', '-', term.lower()).strip('-')


@cache
def terms():
    """Each spelling of each term, in small letters -> its meaning, the id of its row, and the
    lessons that explain it. A spelling with a remark, such as `head (of attention)`, has other
    meanings, too: the words of a page do not tell which is meant, so it is left out."""
    [table] = [c.source for c in nbformat.read(GLOSSARY, 4).cells if c.source.startswith('| term |')]
    found = {}
    for term, meaning, links in re.findall(ROW, table, flags=re.M)[1:]:   # without its head
        where = re.findall(r'\((\w+)\.ipynb\)', links)
        for spelling in term.lower().split(', '):
            if '(' not in spelling: found[spelling] = meaning, anchor(term), where
    return found


def link_terms(cells, stem):
    "Link the first use of each term in the text of the page `stem`, unless that page explains it."
    longest = sorted(terms(), key=len, reverse=True)
    any_term = re.compile(rf'(?<![\w/-])({"|".join(map(re.escape, longest))})(s?)(?![\w/-])', re.I)
    used = set()

    def new(m):
        meaning, at, where = terms()[m[1].lower()]
        if at in used or stem in where: return m[0]
        used.add(at)
        return (f'<a class="term" href="{GLOSSARY.stem}.html#{at}" '
                f'title="{html.escape(meaning)}">{m[0]}</a>')

    for cell in cells:
        if cell.cell_type != 'markdown': continue
        pieces = SKIPPED.split(cell.source)
        pieces[::2] = [any_term.sub(new, piece) for piece in pieces[::2]]
        cell.source = ''.join(pieces)


def mark_rows(cells):
    "Give each row of the glossary's table its id."
    [table] = [c for c in cells if c.source.startswith('| term |')]
    head, rule, *rows = re.findall(r'^\|.*$', table.source, flags=re.M)
    marked = [row.replace('| ', f'| <span id="{anchor(re.match(ROW, row)[1])}"></span>', 1)
              for row in rows]
    table.source = table.source.replace('\n'.join(rows), '\n'.join(marked))
