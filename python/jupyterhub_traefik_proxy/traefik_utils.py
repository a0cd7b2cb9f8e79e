"""Helpers that code around this package has come to use: names, rules and files in Traefik's form."""

import os
import stat
import string
import sys
from collections.abc import Mapping
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from tempfile import NamedTemporaryFile
from urllib.parse import unquote

import escapism
from traitlets import Unicode

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ALIAS_CHARACTERS = string.ascii_letters + string.digits + "-"


def generate_rule(routespec):
    """The rule of a routespec, percent-decoded: ``( PathPrefix(`/user/zoe/`) || Path(`/user/zoe`) )``."""
    if not routespec.endswith("/"):
        raise ValueError(f"routespec must end with /, got {routespec!r}")
    routespec = unquote(routespec)
    if "`" in routespec:
        raise ValueError(f"a routespec may not contain a backtick, got {routespec!r}")
    host, _, path = routespec.partition("/")
    path = f"/{path}"
    rule = "PathPrefix(`/`)" if path == "/" else f"( PathPrefix(`{path}`) || Path(`{path.rstrip('/')}`) )"
    return f"Host(`{host}`) && {rule}" if host else rule


def generate_alias(routespec, kind=""):
    """A name for a routespec with nothing in it but letters, digits, ``-`` and ``_``."""
    alias = escapism.escape(routespec, safe=ALIAS_CHARACTERS)
    return f"{kind}_{alias}" if kind else alias


@contextmanager
def atomic_writing(path):
    """A text file to write to, which takes the place of `path` when all has gone well; its mode is kept."""
    target = Path(path).resolve()
    with NamedTemporaryFile(
        "w", dir=target.parent, prefix=f"{target.name}-tmp-", delete=False, encoding="utf-8"
    ) as file:
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if target.exists():
                os.chmod(file.name, stat.S_IMODE(target.stat().st_mode))
            os.replace(file.name, target)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def deep_merge(a, b):
    """Merges `b` into `a`, which is changed and returned; values of `b` win, and lists are replaced."""
    for key, value in b.items():
        if isinstance(value, Mapping) and isinstance(a.get(key), Mapping):
            deep_merge(a[key], value)
        else:
            a[key] = deepcopy(value)
    return a


class KVStorePrefix(Unicode):
    """A prefix in a key-value store: without trailing slashes, and for Consul without a leading one."""

    def validate(self, obj, value):
        prefix = super().validate(obj, value).rstrip("/")
        return prefix.removeprefix("/") if "Consul" in type(obj).__name__ else prefix


class TraefikConfigFileHandler:
    """Reads and writes one TOML or YAML file."""

    def __init__(self, file_path):
        self.file_path = str(file_path)
        extension = Path(file_path).suffix
        if extension == ".toml":
            self._load, self._dump = _load_toml, _dump_toml
        elif extension in (".yaml", ".yml"):
            self._load, self._dump = _load_yaml, _dump_yaml
        else:
            raise TypeError(f"file should be .toml or .yaml, got {self.file_path!r}")

    def load(self):
        with open(self.file_path, encoding="utf-8") as file:
            return self._load(file.read()) or {}

    def dump(self, data):
        with open(self.file_path, "w", encoding="utf-8") as file:
            self._dump(data, file)

    def atomic_dump(self, data):
        with atomic_writing(self.file_path) as file:
            self._dump(data, file)


def _load_toml(text):
    return tomllib.loads(text)


def _dump_toml(data, file):
    import tomli_w

    file.write(tomli_w.dumps(data))


def _yaml():
    try:
        from ruamel.yaml import YAML
    except ImportError as error:
        raise ImportError("YAML files need ruamel.yaml: pip install ruamel.yaml") from error
    return YAML(typ="safe")


def _load_yaml(text):
    return _yaml().load(text)


def _dump_yaml(data, file):
    _yaml().dump(data, file)
