# A JupyterHub to try things out: anybody may log in with any name and the password below, servers are processes of the user
# who starts the hub, and every byte goes through jupyterhub-traefik-proxy. Not for machines that others can reach.
#
# `npm start` runs it; HOST and PORT choose the address.

import os
import socket

c = get_config()  # noqa: F821


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


host = os.environ.get("HOST") or "127.0.0.1"
port = int(os.environ.get("PORT") or 8000)

# The proxy: routes in rules.toml, the static configuration in traefik.toml, both in the working directory.
c.JupyterHub.proxy_class = "traefik_toml"
c.JupyterHub.bind_url = f"http://{host}:{port}"
c.TraefikTomlProxy.static_config_file = os.path.abspath("traefik.toml")
c.TraefikTomlProxy.dynamic_config_file = os.path.abspath("rules.toml")
c.TraefikTomlProxy.traefik_api_url = f"http://127.0.0.1:{os.environ.get('API_PORT') or free_port()}"

# The hub itself is only reached through the proxy.
c.JupyterHub.hub_bind_url = f"http://127.0.0.1:{os.environ.get('HUB_PORT') or free_port()}"
c.JupyterHub.cookie_secret_file = os.path.abspath("jupyterhub_cookie_secret")
c.JupyterHub.db_url = f"sqlite:///{os.path.abspath('jupyterhub.sqlite')}"
c.JupyterHub.allow_named_servers = True

c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = os.environ.get("DEMO_PASSWORD") or "jupyter"
c.Authenticator.allow_all = True
c.Authenticator.admin_users = {"admin"}
# Names of all kinds are what this example is for.
c.Authenticator.username_pattern = ""

c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = os.path.abspath("home") + "/{username}"
c.Spawner.default_url = "/lab"
c.Spawner.args = ["--allow-root"] if os.getuid() == 0 else []
c.Spawner.start_timeout = 120
c.Spawner.http_timeout = 120
c.Spawner.environment = {"JUPYTER_PREFER_ENV_PATH": "1"}
