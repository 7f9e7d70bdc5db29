"Sphinx's configuration for the site; `.ci/site.py` makes its sources and calls it."
from configparser import ConfigParser
from pathlib import Path

parser = ConfigParser(delimiters=['='])
parser.read(Path(__file__).resolve().parent.parent/'settings.ini', encoding='utf-8')
cfg = parser['DEFAULT']

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

html_theme = 'furo'
html_static_path = ['style.css']
html_css_files = ['style.css']
html_copy_source = False
html_baseurl = cfg['doc_host'] + cfg['doc_baseurl'] + '/'
html_theme_options = dict(source_repository=cfg['git_url'], source_branch=cfg['branch'], source_directory=cfg['nbs_path'] + '/')
pygments_style, pygments_dark_style = 'friendly', 'github-dark'
copybutton_exclude = '.linenos, .gp, .go'
