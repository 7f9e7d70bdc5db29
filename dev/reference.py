"""The site's reference: what every module exports, with its docments, the lesson's cell and the
source."""
import ast
import re
from functools import cache
from html import escape
from importlib import import_module

from fastcore.docments import docments

from cells import blob, nbs, root, shown
from course import lesson

package = root/'speedrun_course'


@cache
def modules():
    "Names of the package's modules below the package (`race.data`), in the order of their notebooks."
    found = {}
    for path in [*package.glob('[!_]*.py'), *package.glob('*/[!_]*.py'), package/'__main__.py']:
        if edited := re.search(r'File to edit: (?:\.\./)+nbs/(\d.+)\.ipynb',
                               path.read_text(encoding='utf-8')):
            found['.'.join(path.relative_to(package).with_suffix('').parts)] = edited[1]
    return dict(sorted(found.items(), key=lambda item: item[1]))


def file_of(module):
    "The file of a module, below the repository's root."
    return f"{package.name}/{module.replace('.', '/')}.py"


@cache
def title(page):
    "A lesson's title."
    return lesson(nbs/f'{page}.ipynb').title


@cache
def code_cells(page):
    "Ids of the code cells that a page shows."
    return {c.id for c in shown(nbs/f'{page}.ipynb').cells if c.cell_type == 'code'}


@cache
def exported(module):
    """Each name that a module exports: the syntax of its definition, and the page and cell that it
    comes from."""
    text = (root/file_of(module)).read_text(encoding='utf-8')
    heads = [(text.count('\n', 0, m.start()) + 1, m[1], m[2])
             for m in re.finditer(r'^# %% (?:\.\./)+nbs/(\S+)\.ipynb #(\S+)', text, flags=re.M)]
    tree, found, wanted = ast.parse(text), {}, []
    for node in tree.body:
        targets = getattr(node, 'targets', [getattr(node, 'target', node)])
        names = [n.id if isinstance(n, ast.Name) else n.name
                 for t in targets for n in getattr(t, 'elts', [t])
                 if isinstance(n, (ast.Name, ast.FunctionDef, ast.ClassDef))]
        if names == ['__all__']: wanted = ast.literal_eval(node.value)
        _, page, cell = max((h for h in heads if h[0] < node.lineno), default=(0, '', ''))
        for name in names: found.setdefault(name, (node, page, cell))
    return ast.get_docstring(tree), {name: found[name] for name in dict.fromkeys(wanted)}


def address(page, cell):
    "Address, below the site's root, of the cell; of its page where the cell is not shown."
    return f'{page}.html' + (f'#cell-{cell}' if cell in code_cells(page) else '')


def prose(text, tag=''):
    "A docstring or comment as HTML, `code` in it set as code."
    text = re.sub(r'`([^`]+)`', r'<code>\1</code>', escape(' '.join((text or '').split()), quote=False))
    return f'<{tag}>{text}</{tag}>' if tag and text else text


def described(pairs):
    "What is said of arguments, fields and the result."
    rows = ''.join(f'<dt><code>{escape(name)}</code></dt><dd>{prose(text)}</dd>'
                   for name, text in pairs.items() if text)
    return f'<dl class="docments">{rows}</dl>' if rows else ''


def signature(node):
    "Arguments and result of a function or method, as written."
    args = re.sub(r'^self(, |$)', '', ast.unparse(node.args))
    return f"({args}){f' -> {ast.unparse(node.returns)}' if node.returns else ''}"


def comments(thing, node):
    """The docments of a function: name -> comment. One behind several arguments is said of all of
    them, one with an arrow of the result."""
    args, lines, said = node.args, {}, {}
    for arg in [*args.posonlyargs, *args.args, args.vararg, *args.kwonlyargs, args.kwarg]:
        if arg: lines.setdefault(arg.lineno, []).append(arg.arg)
    for name, text in docments(thing, args_kwargs=True).items():
        if not text: continue
        names = next((names for names in lines.values() if name in names), [name])
        # what every part gets needs no comment
        names = [n for n in names if n not in ('self', 'r', 'i', 'ctx')] or [name]
        about = ('returns' if name == 'return' or text.startswith('->')
                 else '' if name == 'self' else ', '.join(names))
        said[about] = text.removeprefix('->')
    return said


def directive(kind, module, head, *body):
    fence = '`````' if kind == 'class' else '````'   # a class holds its methods
    return '\n\n'.join([f'{fence}{{py:{kind}}} {head}\n:module: speedrun_course.{module}',
                        *filter(None, body), fence])


def method(module, owner, node, thing):
    "A public method, if anything is said of it: PyTorch's protocol (`forward`, `step`) is known."
    kind = 'property' if isinstance(thing, property) else 'method'
    said = prose(ast.get_docstring(node), 'p') + described(comments(thing, node)
                                                           if kind == 'method' else {})
    if node.name.startswith('_') or not said: return ''
    return directive(kind, module,
                     f'{owner}.{node.name}' + (signature(node) if kind == 'method' else ''), said)


def of_class(module, node, thing):
    "A class: its arguments, or its fields if it is a dataclass, and its methods."
    made = next((n for n in node.body if getattr(n, 'name', '') == '__init__'), None)
    said = {}
    if any('dataclass' in ast.unparse(d) for d in node.decorator_list):
        fields = docments(thing)
        said = {ast.unparse(n): fields.get(n.target.id) or ' '
                for n in node.body if isinstance(n, ast.AnnAssign)}
    elif made: said = comments(thing.__init__, made)
    methods = [method(module, node.name, n, vars(thing)[n.name])
               for n in node.body if isinstance(n, ast.FunctionDef)]
    return directive('class', module, node.name + (signature(made) if made else ''),
                     prose(ast.get_docstring(node), 'p'), described(said), *methods)


def value(node, name):
    "What a constant was set to, as written; '' if several were made at once."
    target, value = (node.targets[0] if isinstance(node, ast.Assign) else node.target), node.value
    if isinstance(target, ast.Tuple):
        if not isinstance(value, ast.Tuple): return ''
        value = value.elts[[n.id for n in target.elts].index(name)]
    return ast.unparse(value)


def constant(module, node, name, thing):
    "A record's line, or a constant's value, if it is short, and the comment behind it."
    from speedrun_course.recipe import Recipe   # with torch: not for Sphinx, which only asks for links
    if isinstance(thing, Recipe):
        stands = f" Official records: {', '.join(map(str, thing.history))}." if thing.history else ''
        return prose(f'{thing.about}.'
                     + (f' Made from `{thing.parent.name}`.' if thing.parent else '') + stands, 'p')
    last = (root/file_of(module)).read_bytes().splitlines()[node.end_lineno - 1]
    text, comment = value(node, name), re.search(r'#\s*(.+)', last[node.end_col_offset:].decode())
    shown = f'<p><code>{escape(text)}</code></p>' if 0 < len(text) < 90 else ''
    return shown + (prose(comment[1], 'p') if comment else '')


def entry(module, name):
    "One exported name."
    node, thing = (exported(module)[1][name][0],
                   getattr(import_module(f'speedrun_course.{module}'), name))
    if isinstance(node, ast.ClassDef): return of_class(module, node, thing)
    if not isinstance(node, ast.FunctionDef):
        return directive('data', module, name, constant(module, node, name, thing))
    return directive('function', module, name + signature(node),
                     prose(ast.get_docstring(node), 'p'), described(comments(thing, node)))


def links(module, name):
    "Where an exported name is explained and defined: for its signature's right edge."
    node, page, cell = exported(module)[1][name]
    return [('lesson', '../' + address(page, cell)),
            ('source', f'{blob}{file_of(module)}#L{node.lineno}-L{node.end_lineno}')]


def page(module):
    "The reference of one module."
    doc, names = exported(module)
    nb = modules()[module]
    return '\n'.join(
        [f'# {module}', '', f'> {doc}', '',
         f'Lesson: [{title(nb)}](../{nb}.ipynb) · `from speedrun_course.{module} import *`', '',
         *(entry(module, name) + '\n' for name in names)])


def overview():
    "All exported names, by module."
    lines = ['# Reference', '',
             '> Every name that the package exports, with its arguments, '
             'the cell that explains it, and its source', '']
    for module in modules():
        names = ' · '.join(f'<a href="{module}.html#speedrun_course.{module}.{n}">'
                           f'<code>{n}</code></a>' for n in exported(module)[1])
        lines += [f'<p class="names"><a href="{module}.html"><strong>{module}</strong></a> '
                  f'{prose(exported(module)[0])}<br>{names}</p>', '']
    toc = '\n'.join(modules())
    return '\n'.join([*lines, f'```{{toctree}}\n:hidden:\n\n{toc}\n```', ''])


def write(folder):
    "Put the pages into `folder`."
    folder.mkdir()
    for module in modules(): (folder/f'{module}.md').write_text(page(module), encoding='utf-8')
    (folder/'index.md').write_text(overview(), encoding='utf-8')
