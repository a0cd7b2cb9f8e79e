"""What a hub waits for its proxy class: ``python routes_class.py ours|upstream AT_ONCE CALLS PRESENT`` prints milliseconds as JSON.

Runs in a virtual environment that has JupyterHub and the class; the working directory gets the files.
"""

import asyncio
import json
import socket
import sys
import time

from traitlets.config import Config


def free_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def make_proxy(which, config):
    if which == "ours":
        from jupyterhub_traefik_proxy import TraefikTomlProxy as Class
    else:
        from jupyterhub_traefik_proxy.fileprovider import TraefikFileProviderProxy as Class
    proxy = Class(config=config, public_url=f"http://127.0.0.1:{free_port()}")
    proxy.traefik_api_url = f"http://127.0.0.1:{free_port()}"
    proxy.validate_routespec = lambda spec: spec if spec.endswith("/") else f"{spec}/"
    return proxy


async def main(which, at_once, calls, present):
    config = Config()
    if len(sys.argv) > 5:
        config.TraefikProxy.command = sys.argv[5:]
    proxy = make_proxy(which, config)
    await proxy.start()
    times = []
    try:

        async def add(index):
            name = f"u{index:06}"
            await proxy.add_route(f"/user/{name}/", f"http://127.0.0.1:{10000 + index % 50000}", {"user": name})

        async def timed(indices):
            for index in indices:
                started = time.perf_counter()
                await add(index)
                times.append((time.perf_counter() - started) * 1000)

        for first in range(0, present, 50):
            await asyncio.gather(*(add(index) for index in range(first, min(present, first + 50))))
        queue = iter(range(present, present + calls))
        await asyncio.gather(*(timed(queue) for _ in range(at_once)))
    finally:
        stopped = proxy.stop()
        if stopped is not None:
            await stopped
    print(json.dumps(times))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], *(int(argument) for argument in sys.argv[2:5])))
