"""Routes in a file: rules.toml or rules.yaml."""

from pathlib import PurePath

from traitlets import validate

from .proxy import TraefikProxy


class TraefikFileProviderProxy(TraefikProxy):
    """JupyterHub proxy whose routes stand in a TOML or YAML file."""

    @validate("dynamic_config_file", "static_config_file")
    def _check_extension(self, proposal):
        extension = PurePath(proposal.value).suffix
        if proposal.value and extension not in (".toml", ".yaml", ".yml"):
            raise TypeError(
                f"{type(self).__name__}.{proposal.trait.name} must end in .toml or .yaml, got {proposal.value!r}"
            )
        return proposal.value
