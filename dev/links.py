"""Check the links of the built site: those inside it, those to this repository's files, and the
form of all others."""
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

from cells import cfg, root


class Page(HTMLParser):
    "What a page can be linked by, and what it links to."
    def __init__(self, path):
        super().__init__()
        self.ids, self.links = set(), []
        self.feed(path.read_text(encoding='utf-8'))

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name == 'id' or (tag, name) == ('a', 'name'): self.ids.add(value)
            if name in ('href', 'src') and value is not None: self.links.append(value)


def outside(link):
    "What is wrong with the form of a link to elsewhere, or ''."
    url = urlsplit(link)
    if url.scheme != 'https': return 'not https'
    if any(c.isspace() for c in link): return 'has a space'
    if '.' not in (url.hostname or '') or (url.hostname or '').replace('.', '').isdigit():
        return 'no host of the web'
    path = unquote(url.path).partition(f"{cfg['user']}/{cfg['repo']}/blob/{cfg['branch']}/")[2]
    return f'{path} is not in the repository' if path and not (root/path).exists() else ''


def check(docs):
    "How many different links the pages in `docs` have, and what is wrong with some."
    pages = {path.resolve(): Page(path) for path in docs.rglob('*.html')}
    seen, broken = set(), []
    for path, page in pages.items():
        for link in sorted(set(page.links)):
            url, at = urlsplit(link), path
            if url.scheme == 'data': continue
            seen.add(link)
            if url.scheme or url.netloc: why = outside(link)
            else:
                if url.path: at = (path.parent/unquote(url.path)).resolve()
                if not at.is_file(): why = 'no such file'
                elif url.fragment and at in pages and unquote(url.fragment) not in pages[at].ids:
                    why = 'no such place on the page'
                else: why = ''
            if why: broken.append(f'{path.relative_to(docs)}: {link}: {why}')
    return len(seen), broken
