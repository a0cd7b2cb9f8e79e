"""Notes at build time where the checkout lies that the package is installed from.

The plug-in finds the Node program there when it is not on the PATH.
"""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

CHECKOUT = Path(__file__).resolve().parent.parent
PROGRAM = CHECKOUT / "bin" / "jupyterhub-traefik-proxy.js"


class BuildWithCheckout(build_py):
    def run(self):
        super().run()
        found = str(CHECKOUT) if PROGRAM.exists() else None
        target = Path(self.build_lib) / "jupyterhub_traefik_proxy" / "_checkout.py"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(
            '"""Written when the package was built."""\n\n'
            f"#: The checkout it was built from; None when it was not built from one.\nCHECKOUT = {found!r}\n"
        )


setup(cmdclass={"build_py": BuildWithCheckout})
