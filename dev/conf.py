"Sphinx's configuration for the site; `dev/site.py` makes its sources and calls it."
import re
import sys
from html import escape
from pathlib import Path

import plotly
from docutils import nodes
from sphinx import addnodes

sys.path[:0] = [str(Path(__file__).parent)]
import reference
from cells import cfg

project = html_title = cfg['title']
author, release = cfg['author'], cfg['version']
copyright = cfg['copyright']
extensions = ['myst_nb', 'sphinx_copybutton', 'sphinx-mathjax-offline']

# The outputs are the committed ones: what a reader sees is what was run and reviewed.
nb_execution_mode = 'off'
nb_merge_streams = True
nb_render_markdown_format = 'myst'
myst_enable_extensions = ['dollarmath', 'amsmath', 'colon_fence']
myst_heading_anchors = 3
add_module_names = False
python_maximum_signature_line_length = 140
toc_object_entries_show_parents = 'hide'

html_theme = 'furo'
html_static_path = ['style.css', 'timeline.js',
                    str(Path(plotly.__file__).parent/'package_data'/'plotly.min.js')]
html_css_files = ['style.css']
# The sidebar is long: begin where the page stands in it.
html_js_files = [(None, dict(body='''addEventListener('DOMContentLoaded', () => {
  const box = document.querySelector('.sidebar-scroll'), here = box?.querySelector('.current-page');
  const top = x => x.getBoundingClientRect().top;
  if (here) box.scrollTop = top(here) - top(box) - box.clientHeight/2;
})'''))]
html_copy_source = False
html_baseurl = cfg['doc_host'] + cfg['doc_baseurl'] + '/'
octocat = ('M8 0C3.58 0 0 3.58 0 8c0 3.54 2.29 6.53 5.47 7.59.4.07.55-.17.55-.38 '
           '0-.19-.01-.82-.01-1.49-2.01.37-2.53-.49-2.69-.94-.09-.23-.48-.94-.82-1.13-.28-.15-.6'
           '8-.52-.01-.53.63-.01 1.08.58 1.23.82.72 1.21 1.87.87 '
           '2.33.66.07-.52.28-.87.51-1.07-1.78-.2-3.64-.89-3.64-3.95 '
           '0-.87.31-1.59.82-2.15-.08-.2-.36-1.02.08-2.12 0 0 .67-.21 2.2.82.64-.18 1.32-.27 '
           '2-.27.68 0 1.36.09 2 .27 1.53-1.04 2.2-.82 2.2-.82.44 1.1.16 1.92.08 2.12.51.56.82 '
           '1.27.82 2.15 0 3.07-1.87 3.75-3.65 3.95.29.25.54.73.54 1.48 0 1.07-.01 1.93-.01 2.2 '
           '0 .21.15.46.55.38A8.013 8.013 0 0 0 16 8c0-4.42-3.58-8-8-8z')
html_theme_options = dict(top_of_page_buttons=[], footer_icons=[dict(
    name='GitHub', url=cfg['git_url'],
    html=f'<svg viewBox="0 0 16 16" fill="currentColor"><path d="{octocat}"/></svg>')])
pygments_style, pygments_dark_style = 'friendly', 'github-dark'
copybutton_exclude = '.linenos, .gp, .go'


def anchors(app, doctree):
    "Give each code cell its anchor, and each name of the reference its links."
    for cell in doctree.findall(nodes.container):
        if anchor := cell.get('cell_metadata', {}).get('anchor'): cell['ids'].append(anchor)
    for name in doctree.findall(addnodes.desc_signature):
        if '.' in name['fullname']: continue   # a method: its class has them
        html = ''.join(f'<a href="{escape(url)}">{text}</a>' for text, url
                       in reference.links(name['module'].partition('.')[2], name['fullname']))
        name += nodes.raw('', f'<span class="where">{html}</span>', format='html')


def columns(app, doctree):
    "Mark printed tables: on a narrow screen their lines scroll, where those of prose are wrapped."
    for printed in doctree.findall(nodes.literal_block):
        if 'output' not in printed['classes']: continue
        lines = printed.astext().splitlines()
        apart = [line for line in lines if re.search(r'\S {2,}\S', line)]
        if len(apart) > 1: printed['classes'].append('columns')


def setup(app):
    for change in (anchors, columns): app.connect('doctree-read', change)
