from jupyterhub_traefik_proxy import TraefikTomlProxy

c = get_config()  # noqa: F821

# mark the proxy as externally managed
c.TraefikTomlProxy.should_start = False
# credentials of the engine's API
c.TraefikTomlProxy.traefik_api_username = "api_admin"
c.TraefikTomlProxy.traefik_api_password = "admin"
# the routes file that the engine watches
c.TraefikTomlProxy.toml_dynamic_config_file = "/opt/tljh/state/rules.toml"
c.JupyterHub.proxy_class = TraefikTomlProxy
