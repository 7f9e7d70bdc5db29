"""Make README.md, and the images it shows, from nbs/index.ipynb. With `--check`, only say whether
they are up to date.

    python dev/readme.py [--check]
"""
import re
import sys

import nbformat
from nbconvert import MarkdownExporter

from cells import nbs, root, shown

images = nbs/'images'


def made():
    "Each file to write, with its text."
    nb, files = shown(nbs/'index.ipynb'), {}
    for cell in nb.cells:
        if cell.cell_type != 'code': continue
        for i, out in enumerate(cell.outputs):
            svg = out.get('data', {}).get('image/svg+xml')
            if not svg: continue
            file = images/f'index-{cell.id}{f"-{i}" if i else ""}.svg'
            files[file] = svg
            text = f'![{cell.metadata.mystnb.image.alt}]({file.relative_to(root).as_posix()})'
            out.data = nbformat.from_dict({'text/markdown': text})
    hide = dict(TagRemovePreprocessor=dict(enabled=True,
                                           remove_input_tags={'remove-input', 'hide-input'}))
    text, resources = MarkdownExporter(config=hide).from_notebook_node(nb)
    if resources.get('outputs'):
        sys.exit("nbs/index.ipynb shows an image that is not SVG: "
                 f"{', '.join(resources['outputs'])}")
    files[root/'README.md'] = re.sub(r'\n{3,}', '\n\n', text.strip()) + '\n'
    return files


def main():
    files = made()
    stale = set(images.glob('index-*')) - files.keys()
    if sys.argv[1:] == ['--check']:
        old = [f for f in files
               if not f.exists() or f.read_text(encoding='utf-8') != files[f]] + sorted(stale)
        if old:
            sys.exit(f'{old[0].relative_to(root)} is out of date with nbs/index.ipynb: '
                     'run `python dev/readme.py`')
        return
    images.mkdir(exist_ok=True)
    for file, text in files.items(): file.write_text(text, encoding='utf-8')
    for file in stale: file.unlink()


if __name__ == '__main__': main()
