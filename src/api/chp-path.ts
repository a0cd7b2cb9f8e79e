// Paths of configurable-http-proxy's REST API and the routespecs they stand for. That API shows paths decoded and without the slash at
// the end; an escaped slash stays escaped here, because decoding it would turn one user's route into another's.

/** Nothing to decode, nothing to encode. */
const PLAIN_PATH = /^(?:\/[A-Za-z0-9\-._~@]+)+\/?$/;

/** The routespec of the rest of an API URL, `/user/zoe` or ``; undefined when its escapes are not UTF-8. */
export function routespecOfPath(rest: string): string | undefined {
  if (PLAIN_PATH.test(rest)) return rest.endsWith('/') ? rest : `${rest}/`;
  const segments: string[] = [];
  for (const segment of rest.replace(/^\//, '').replace(/\/$/, '').split('/')) {
    let decoded: string;
    try {
      decoded = decodeURIComponent(segment);
    } catch {
      return undefined;
    }
    segments.push(encodeSegment(decoded));
  }
  const path = segments.join('/');
  return path === '' ? '/' : `/${path}/`;
}

/** As JupyterHub writes it: `@` and `~` stay, everything else that is not unreserved is escaped. */
function encodeSegment(text: string): string {
  return encodeURIComponent(text)
    .replaceAll('%40', '@')
    .replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** `/Example.org/x/` is `example.org/x/`. */
export function hostFirst(routespec: string): string {
  const slash = routespec.indexOf('/', 1);
  const host = decodeURIComponent(routespec.slice(1, slash));
  return `${host.toLowerCase()}${routespec.slice(slash)}`;
}

/** The routespec of a path as the API shows it, which is also how stores have it; undefined when it cannot be one. */
export function routespecOfShownPath(path: string, hasHost: boolean): string | undefined {
  const routespec = routespecOfPath(path.replace(/\/{2,}/g, '/').replace(/%(?!2F|252F)/g, '%25'));
  return routespec === undefined || !hasHost || routespec === '/' ? routespec : hostFirst(routespec);
}

/** How the API shows a routespec: `/user/zoe`; a host is the first segment. */
export function pathOfRoutespec(routespec: string): string {
  const path = `/${routespec.replace(/^\//, '').replace(/\/$/, '')}`;
  if (!path.includes('%')) return path;
  try {
    return path
      .split('/')
      .map((segment) => decodeURIComponent(segment).replaceAll('%', '%25').replaceAll('/', '%2F'))
      .join('/')
      .replace(/%25(?!2F)/g, '%');
  } catch {
    // Escapes that are not UTF-8 are shown as they are.
    return path;
  }
}
