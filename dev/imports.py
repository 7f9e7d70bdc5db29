"""Find imports of the package's own modules inside functions: they would hide circles.
(.importlinter checks their direction.)

    python dev/imports.py
"""
import ast
import sys

from cells import cfg, root

package = root/cfg['lib_path']
# The program imports only the module of the verb that was asked for;
# the doctor must work where PyTorch is missing.
LATE = package/'__main__.py', package/'use'/'doctor.py'


def own(node):
    "Does this statement import from the package?"
    if isinstance(node, ast.ImportFrom):
        return node.level > 0 or node.module.split('.')[0] == package.name
    return isinstance(node, ast.Import) and any(name.name.split('.')[0] == package.name
                                                for name in node.names)


def late(path):
    "Line numbers of such imports in one module."
    functions = [n for n in ast.walk(ast.parse(path.read_text(encoding='utf-8')))
                 if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))]
    return sorted({node.lineno for function in functions for node in ast.walk(function) if own(node)})


def main():
    found = [f'{path.relative_to(root)}:{line}: an import of the package inside a function; '
             'put it at the top of the module'
             for path in sorted(package.rglob('*.py')) if path not in LATE for line in late(path)]
    sys.exit('\n'.join(found) or 0)


if __name__ == '__main__': main()
