"""What code around the former jupyterhub-traefik-proxy reads and calls besides JupyterHub's own interface."""

import json

from jupyterhub.utils import exponential_backoff, url_path_join
from tornado.httpclient import AsyncHTTPClient, HTTPClientError

from .traefik_utils import TraefikConfigFileHandler, generate_alias

#: Methods that subclasses used to replace, and what does the same now.
GONE = {
    "_setup_traefik_static_config": "extra_static_config",
    "_setup_traefik_dynamic_config": "extra_dynamic_config",
    "_apply_dynamic_config": "extra_dynamic_config",
    "_delete_dynamic_config": "extra_dynamic_config",
    "_persist_dynamic_config": "dynamic_config_file",
    "_start_traefik": "engine, command or should_start = False",
    "_stop_traefik": "engine, command or should_start = False",
    "_cleanup": "stop()",
}


class FormerInterface:
    """Mixed into TraefikProxy; answers from the files and from the engine's API."""

    def _warn_about_replaced_methods(self):
        for name, instead in GONE.items():
            if hasattr(type(self), name):
                self.log.warning(
                    "%s.%s is never called: the work is done by the jupyterhub-traefik-proxy program; use %s instead",
                    type(self).__name__,
                    name,
                    instead,
                )

    @property
    def dynamic_config_handler(self):
        return TraefikConfigFileHandler(self.dynamic_config_file)

    @property
    def dynamic_config(self):
        """The routes file as it is; a copy."""
        config = _content(self.dynamic_config_file)
        http = config.setdefault("http", {})
        http.setdefault("services", {})
        http.setdefault("routers", {})
        config.setdefault("jupyterhub", {}).setdefault("routes", {})
        return config

    @property
    def static_config(self):
        """The static file as it is; a copy."""
        return _content(self.static_config_file)

    async def _get_jupyterhub_dynamic_config(self):
        routes = await self.get_all_routes()
        return {
            "routes": {
                generate_alias(spec, "router"): {
                    **route,
                    "router": generate_alias(spec, "router"),
                    "service": generate_alias(spec, "service"),
                }
                for spec, route in routes.items()
            }
        }

    async def _traefik_api_request(self, path):
        """Asks the engine's API; raises tornado's HTTPClientError."""
        return await AsyncHTTPClient().fetch(
            url_path_join(self.traefik_api_url, path),
            auth_username=self.traefik_api_username,
            auth_password=self.traefik_api_password,
            validate_cert=self.traefik_api_validate_cert,
        )

    async def _check_for_traefik_service(self, routespec, kind):
        """Whether the engine shows the `router` or `service` of a routespec."""
        name = generate_alias(self.validate_routespec(routespec), kind)
        try:
            response = await self._traefik_api_request(f"/api/http/{kind}s/{name}@{self.provider_name}")
        except HTTPClientError as error:
            if error.code == 404:
                return False
            raise
        return json.loads(response.body).get("status") != "disabled"

    async def _wait_for_route(self, routespec):
        """Returns when the engine shows the route; add_route has waited for it already. Raises TimeoutError."""

        async def is_there():
            return await self._check_for_traefik_service(routespec, "service") and (
                await self._check_for_traefik_service(routespec, "router")
            )

        await exponential_backoff(
            is_there, f"Traefik route for {routespec}: not ready", timeout=self.check_route_timeout
        )

    async def _wait_for_static_config(self):
        """Returns when the engine's API shows the users' entry point. Raises TimeoutError."""

        async def is_up():
            try:
                await self._traefik_api_request("/api/overview")
                await self._traefik_api_request(f"/api/entrypoints/{self.traefik_entrypoint}")
            except HTTPClientError as error:
                if error.code in (401, 403):
                    raise
                return False
            except OSError:
                return False
            return True

        await exponential_backoff(is_up, "Traefik static configuration not available", timeout=self.check_route_timeout)


def _content(file):
    try:
        return TraefikConfigFileHandler(file).load()
    except FileNotFoundError:
        return {}
