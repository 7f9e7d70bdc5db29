from configparser import ConfigParser
from pathlib import Path
from setuptools import setup, find_namespace_packages

root = Path(__file__).resolve().parent
parser = ConfigParser(delimiters=['='])
parser.read(root/'settings.ini', encoding='utf-8')
cfg = parser['DEFAULT']
lib, readme = cfg['lib_name'], root/'README.md'

setup(
    name=lib, version=cfg['version'], description=cfg['description'], keywords=cfg['keywords'].split(),
    author=cfg['author'], author_email=cfg['author_email'],
    url=cfg['git_url'], license='MIT', license_files=['LICENSE'],
    long_description=readme.read_text(encoding='utf-8') if readme.exists() else '',
    long_description_content_type='text/markdown',
    classifiers=['Intended Audience :: Education', 'Programming Language :: Python :: 3',
                 'Topic :: Scientific/Engineering :: Artificial Intelligence'],
    packages=find_namespace_packages(str(root), include=[lib, f'{lib}.*']),
    package_data={lib: cfg['package_data'].split()},
    python_requires='>=' + cfg['min_python'],
    install_requires=cfg['requirements'].split(),
    extras_require={extra: cfg[f'{extra}_requirements'].split()
                    for extra in ('dev', 'words', 'trackers', 'kernels')},
    entry_points={'console_scripts': cfg['console_scripts'].split(), 'nbdev': f'{lib}={lib}._modidx:d'},
    zip_safe=False,
)
