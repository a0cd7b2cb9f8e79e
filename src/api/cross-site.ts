// Web pages of others that use a browser on this machine against an API that asks for no token. Sources: Fetch Metadata (W3C) and the
// Origin header (RFC 6454) for requests across sites; for DNS rebinding (a name of theirs that suddenly means this machine) the Host header.

import type { IncomingHttpHeaders } from 'node:http';
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import type { ChpAddress } from '../config/chp.ts';
import { parseUrl } from '../url.ts';

const CROSS_SITE = 'This API takes no requests from web pages: set CONFIGPROXY_AUTH_TOKEN.\n';
const FOREIGN_HOST =
  'This API is not known by that name: call it by its address, or set CONFIGPROXY_AUTH_TOKEN.\n';

/** Why a request to an API that listens on `address` and asks for no token is refused, for whoever sent it; undefined: it is not. */
export function refusalWithoutToken(headers: IncomingHttpHeaders, address: ChpAddress): string | undefined {
  const { origin, host = '' } = headers;
  if (origin !== undefined && !isOwn(origin, host)) return CROSS_SITE;
  // Another port of this machine is the same site: a notebook, perhaps.
  const site = headers['sec-fetch-site'];
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return CROSS_SITE;
  return isLoopback(address) && !isLocalName(nameOf(host)) ? FOREIGN_HOST : undefined;
}

function isOwn(origin: string, host: string): boolean {
  return host !== '' && parseUrl(origin)?.host === host.toLowerCase();
}

/** Whoever reaches other addresses comes from elsewhere, by whatever name. */
function isLoopback(address: ChpAddress): boolean {
  return 'host' in address && /^(?:localhost|127\.[0-9.]+|::1)$/i.test(address.host);
}

function nameOf(host: string): string {
  return host
    .toLowerCase()
    .replace(/:[0-9]*$/, '')
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/\.$/, '');
}

/** Addresses, and names that nobody can have in the public DNS. Empty: no browser leaves it out. */
function isLocalName(name: string): boolean {
  if (name === '' || isIP(name) > 0 || !name.includes('.')) return true;
  return /\.(?:localhost|localdomain6?)$/.test(name) || name === hostname().toLowerCase();
}
