"""The class of the original documentation: both files are TOML."""

from traitlets import Unicode, observe

from .fileprovider import TraefikFileProviderProxy


class TraefikTomlProxy(TraefikFileProviderProxy):
    """JupyterHub proxy with TOML configuration files."""

    toml_dynamic_config_file = Unicode(config=True, help="The routes file; the same as dynamic_config_file.")

    @observe("toml_dynamic_config_file")
    def _dynamic_name_is_old(self, change):
        # The name in the text is the one that has always been there.
        self._take_old_name(change, "dynamic_config_file", "TraefikFileProvider")
