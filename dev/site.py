"""Build the site from the committed notebooks, without running them: sources in _site, pages in _docs.

    python dev/site.py
"""
import re
import shutil
import subprocess
import sys

import nbformat
from nbformat.v4 import new_markdown_cell

import links
import reference
import terms
import timeline
from cells import COLAB, blob, cfg, lessons, nbs, root, shown
from course import builds_on, in_order, lesson, number, parts

pages = {p.relative_to(root).as_posix(): p for p in lessons()}

def link(path, fragment):
    """Pages and images are on the site, modules in its reference; every other file is shown by the
    repository's host."""
    module = path.removeprefix('speedrun_course/').removesuffix('.py').replace('/', '.')
    if path.startswith('speedrun_course/') and module in reference.modules():
        return f"#speedrun_course.{module}.{fragment[1:]}" if fragment else f'reference/{module}.md'
    here = path in pages or path.startswith('nbs/images/')
    return (path.removeprefix('nbs/') if here else blob + path) + fragment


def header(path):
    "The line under a lesson's title."
    file, about = path.relative_to(root).as_posix(), lesson(path)
    colab = ('https://colab.research.google.com/github/'
             f"{cfg['user']}/{cfg['repo']}/blob/{cfg['branch']}/{file}")
    n, needed = number(path.stem), builds_on(path.stem)
    items = [*([f'Lesson {n} of {len(in_order())}'] if n else []), f'{about.minutes} min to read',
             *(['builds on ' + ', '.join(f'[{x.title}]({x.stem}.ipynb)' for x in needed)]
               if needed else []),
             f'[Open in Colab]({colab})',
             f'[View on GitHub]({blob}{file})',
             f'[How to edit]({blob}CONTRIBUTING.md#edit-a-lesson)',
             *([f'[Reference](reference/{about.module}.md)'] if about.module else [])]
    return new_markdown_cell('\n'.join([
        ':::{container} lesson-line', ' · '.join(items), ':::', '', timeline.road(path.stem)]))


def check_colab(path):
    "A page that Colab opens begins with the cell that fetches the course."
    first = next(c for c in nbformat.read(path, 4).cells if c.cell_type == 'code')
    if first.source != COLAB:
        sys.exit(f'{path.name}: the first code cell is not COLAB of dev/cells.py')


def toctrees():
    """The sidebar's groups: the parts of the course, which also give each page its neighbours at
    the foot."""
    groups = {'': ['Front page <self>'],
              **{caption: [f'{number(x.stem)}. {x.title} <{x.stem}>' if number(x.stem) else x.stem
                          for x in some] for caption, some in parts().items()},
              'Reference': ['All names <reference/index>']}
    tree = lambda caption, names: '\n'.join([
        '```{toctree}', ':hidden:', *([f':caption: {caption}'] if caption else []), '', *names, '```'])
    return new_markdown_cell('\n\n'.join(tree(*group) for group in groups.items()))


def write(path, out):
    "Put the notebook at `path` into the folder `out` as myst-nb wants it."
    check_colab(path)
    nb = shown(path, link)
    # nbdev_clean drops it; `!` and `%` lines need it
    nb.metadata.language_info = dict(name='python', pygments_lexer='ipython3')
    for cell in nb.cells:
        if cell.cell_type == 'markdown':
            cell.source = re.sub(r'^::: ?\{\.callout-(\w+)[^}]*\}', r':::{\1}',
                                 cell.source, flags=re.M)
        else:
            cell.metadata.anchor = f'cell-{cell.id}'
            for shows in cell.outputs:   # HTML goes into the page as it is
                if 'text/html' in (data := shows.get('data', {})):
                    data['text/html'] = re.sub(r'href="(\w+)\.ipynb', r'href="\1.html',
                                               data['text/html'])
    if path == terms.GLOSSARY: terms.mark_rows(nb.cells)
    else: terms.link_terms(nb.cells, path.stem)
    if path.stem == 'index':
        at = [c.id for c in nb.cells].index('timeline')
        nb.cells.insert(at + 1, new_markdown_cell(timeline.html()))
        nb.cells.append(toctrees())
    else: nb.cells.insert(1, header(path))
    nbformat.write(nb, out/path.name)


def main():
    source, docs = root/'_site', root/'_docs'
    for folder in (source, docs): shutil.rmtree(folder, ignore_errors=True)
    source.mkdir()
    for page in pages.values(): write(page, source)
    reference.write(source/'reference')
    if (nbs/'images').exists(): shutil.copytree(nbs/'images', source/'images')
    done = subprocess.run([sys.executable, '-m', 'sphinx', '-W', '-q', '-b', 'html', '-c',
                           root/'dev', source, docs])
    # myst-nb's copy of all outputs, which the pages do not use
    shutil.rmtree(root/'jupyter_execute', ignore_errors=True)
    if done.returncode: sys.exit(done.returncode)
    count, broken = links.check(docs)
    for problem in broken: print(problem, file=sys.stderr)
    print(f'{len(pages)} notebooks, {count} links, {len(broken)} of them broken: {docs/"index.html"}')
    sys.exit(bool(broken))


if __name__ == '__main__': main()
