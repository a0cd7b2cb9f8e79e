"""JupyterHub proxy with TOML configuration files.

``c.JupyterHub.proxy_class = "traefik_toml"``, or one of the classes below.
"""

from importlib import import_module

__version__ = "2.1.0.post1"

_MODULES = {
    "TraefikProxy": ".proxy",
    "TraefikFileProviderProxy": ".fileprovider",
    "TraefikTomlProxy": ".toml",
}

__all__ = ["TraefikFileProviderProxy", "TraefikProxy", "TraefikTomlProxy", "__version__"]


def __getattr__(name):
    """The classes, loaded when they are asked for: importing the package alone costs nothing."""
    try:
        module = _MODULES[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    return getattr(import_module(module, __name__), name)


def __dir__():
    return sorted(__all__)
