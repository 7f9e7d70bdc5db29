"""Build the site from the committed notebooks, without running them: sources in _site, pages in _docs.

    python .ci/site.py
"""
import re
import shutil
import subprocess
import sys
from configparser import ConfigParser

import nbformat

from cells import lessons, nbs, root, shown

cfg = ConfigParser(delimiters=['='])
cfg.read(root/'settings.ini', encoding='utf-8')
blob = '{git_url}/blob/{branch}/'.format(**cfg['DEFAULT'])
pages = {p.relative_to(root).as_posix(): p for p in lessons()}


def link(path, fragment):
    "Pages and images are on the site; every other file is shown by the repository's host."
    here = path in pages or path.startswith('nbs/images/')
    return (path.removeprefix('nbs/') if here else blob + path) + fragment


def write(path, out):
    "Put the notebook at `path` into the folder `out` as myst-nb wants it."
    nb = shown(path, link)
    nb.metadata.language_info = dict(name='python', pygments_lexer='ipython3')   # nbdev_clean drops it; `!` and `%` lines need it
    for cell in nb.cells:
        if cell.cell_type == 'markdown': cell.source = re.sub(r'^::: ?\{\.callout-(\w+)[^}]*\}', r':::{\1}', cell.source, flags=re.M)
    if path.stem == 'index':
        names = '\n'.join(p.stem for p in pages.values() if p != path)
        nb.cells.append(nbformat.v4.new_markdown_cell('```{toctree}\n:hidden:\n:maxdepth: 1\n\n' + names + '\n```'))
    nbformat.write(nb, out/path.name)


def main():
    source, docs = root/'_site', root/'_docs'
    for folder in (source, docs): shutil.rmtree(folder, ignore_errors=True)
    source.mkdir()
    for page in pages.values(): write(page, source)
    if (nbs/'images').exists(): shutil.copytree(nbs/'images', source/'images')
    done = subprocess.run([sys.executable, '-m', 'sphinx', '-W', '-q', '-b', 'html', '-c', root/'.ci', source, docs])
    shutil.rmtree(root/'jupyter_execute', ignore_errors=True)   # myst-nb's copy of all outputs, which the pages do not use
    if done.returncode == 0: print(f'{len(pages)} pages: {docs/"index.html"}')
    sys.exit(done.returncode)


if __name__ == '__main__': main()
