"""What the scripts here share: which notebooks there are, and what of a notebook a reader gets to
see."""
import ast
import re
import sys
from configparser import ConfigParser
from pathlib import Path

import nbformat
from nbformat.v4 import new_markdown_cell

root = Path(__file__).resolve().parent.parent
nbs = root/'nbs'
sys.path.insert(1, str(root))   # this clone's package, whichever one is installed
parser = ConfigParser(delimiters=['='])
parser.read(root/'settings.ini', encoding='utf-8')
cfg = parser['DEFAULT']
blob = f"{cfg['git_url']}/blob/{cfg['branch']}/"   # where the repository's host shows a file


def lessons():
    "The pages of the course in reading order."
    return [p for p in [nbs/'index.ipynb', *sorted(nbs.glob('[0-9]*.ipynb'))] if p.exists()]


def directives(cell):
    "The `#| name: value` lines at the top of a code cell, and the source below them."
    found, lines = {}, cell.source.splitlines(keepends=True)
    while (cell.cell_type == 'code' and lines
           and (m := re.match(r'#\s?\|\s*([\w-]+):?\s*(.*)', lines[0]))):
        found[m[1]] = m[2].strip().strip('"\'')
        lines.pop(0)
    return found, ''.join(lines).lstrip('\n')


def is_answer(has):
    "Do a cell's directives say that it answers an exercise?"
    return has.get('code-fold') == 'true' and has.get('code-summary', '').startswith('Answer')


# The first code cell of every page. It installs in place, since lessons read the results beside the
# package, and without requirements, since Colab's PyTorch belongs to its GPUs.
COLAB = f"""#| hide
#| eval: false
import sys
if 'google.colab' in sys.modules:
    %cd /content
    ![ -e {cfg['repo']} ] || git clone -q --depth 1 -b {cfg['branch']} {cfg['git_url']}
    !pip install -q fastcore && pip install -q --no-deps -e {cfg['repo']}
    %cd {cfg['repo']}"""

SLOW = """:::{container} slow
The next cell takes minutes or hours. Where it makes results, they are in the repository, and it runs
only what is missing there.
:::"""

LIVE = """<p class="live">While this cell runs, a loss curve grows here. It removes itself when the run
is over, so a page that was made afterwards cannot show it.</p>"""


def only_imports(source):
    "Does a cell do nothing but import?"
    try: lines = ast.parse(source).body
    except SyntaxError: return False   # a line for IPython
    return bool(lines) and all(isinstance(line, (ast.Import, ast.ImportFrom)) for line in lines)


def fold(nb):
    """Collapse in Jupyter what the site collapses or hides: code that draws, and answers with what
    they print. Jupyter shows the first line of a collapsed cell, so that is its summary."""
    for cell in nb.cells:
        if cell.cell_type != 'code': continue
        cell.source = re.sub(r'^(#\| code-fold: true\n)(#\| code-summary: .*\n)', r'\2\1', cell.source)
        has, _ = directives(cell)
        hidden = dict(source_hidden=has.get('code-fold') == 'true' or 'hide' in has,
                      outputs_hidden=is_answer(has))
        cell.metadata.pop('jupyter', None)
        if any(hidden.values()): cell.metadata.jupyter = {k: True for k, on in hidden.items() if on}
    return nb


def relink(text, link):
    """Replace each link in `text` to a file or folder of the repository by `link(path below the
    root, #fragment)`."""
    def new(m):
        file = (nbs/m[2]).resolve()
        # What is no file is a web address, or a subscript and a call in code: `blocks[i](x)`.
        if not file.exists() or root not in file.parents: return m[0]
        return m[1] + link(file.relative_to(root).as_posix(), m[3] or '') + m[4]
    return re.sub(r'(\]\(|(?:href|src)=")([^)\s"#]+)(#[^)\s"]*)?([)\s"])', new, text)


def shown(path, link=lambda path, fragment: path + fragment):
    "The notebook at `path` as a reader sees it, its links to files rewritten by `link`."
    nb, cells = nbformat.read(path, 4), []
    for cell in nb.cells:
        has, cell.source = directives(cell)
        if has.keys() & {'hide', 'default_exp'} or has.get('include') == 'false': continue
        if cell.cell_type != 'code': cell.source = relink(cell.source, link)
        else:
            imports = only_imports(cell.source)
            if has.get('output') == 'false': cell.outputs = []
            for out in cell.outputs:   # a live curve that has removed itself leaves empty HTML
                if not out.get('data', {}).get('text/html', 'text').strip():
                    out.data['text/html'] = LIVE
            for out in cell.outputs:
                if 'text/markdown' in out.get('data', {}):
                    out.data['text/markdown'] = relink(out.data['text/markdown'], link)
            if has.get('echo') == 'false': cell.metadata.tags = ['remove-input']
            elif imports or has.get('code-fold') == 'true':
                cell.metadata.tags = ['hide-cell' if is_answer(has) else 'hide-input']
            summary = has.get('code-summary', 'Imports' if imports else 'Show the code')
            cell.metadata.mystnb = dict(code_prompt_show=summary, code_prompt_hide=summary,
                                        image=dict(alt=has.get('fig-alt', 'plot')))
            if 'slow' in has and not is_answer(has): cells.append(new_markdown_cell(SLOW))
        cells.append(cell)
    nb.cells = cells
    return nb
