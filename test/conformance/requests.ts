// The few raw requests that most cases are variations of.

/** What a request may have beside its target. */
export interface RequestParts {
  readonly method?: string;
  readonly host?: string;
  /** Whole lines, in order. */
  readonly headers?: readonly string[];
  readonly body?: string;
}

/**
 * One request as bytes. It says `Accept-Encoding: identity`, because Go's HTTP client adds `gzip` to requests that say nothing, which is
 * a case of its own.
 */
export function request(target: string, parts: RequestParts = {}): string {
  const { method = 'GET', host = 'localhost', headers = [], body = '' } = parts;
  const lines = [`${method} ${target} HTTP/1.1`, `Host: ${host}`, 'User-Agent: conformance'];
  if (!headers.some((line) => /^accept-encoding:/i.test(line))) lines.push('Accept-Encoding: identity');
  lines.push(...headers);
  if (body !== '') lines.push(`Content-Length: ${String(Buffer.byteLength(body))}`);
  return `${lines.join('\r\n')}\r\n\r\n${body}`;
}

/** A WebSocket handshake as browsers send it. */
export function handshake(target: string, headers: readonly string[] = []): string {
  return request(target, {
    headers: [
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
      ...headers,
    ],
  });
}

/** The answer to `handshake`. */
export const HANDSHAKE_ANSWER =
  'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
  'Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n';

/** Static configuration of most sets: one public entry point, the file `rules.toml`, no throttling. */
export const PLAIN_STATIC = `
[entryPoints.web]
address = "127.0.0.1:<web>"
[providers]
providersThrottleDuration = "0s"
[providers.file]
filename = "<dir>/rules.toml"
watch = true
[log]
level = "ERROR"
`;

/** Lines of a router and a service that belong together: `routes({ a: ['PathPrefix(\`/\`)', 'one'] })`. */
export function routes(
  table: Readonly<Record<string, readonly [rule: string, backend: string, more?: string]>>,
): string {
  const routers = Object.entries(table).map(
    ([name, [rule, backend, more = '']]) =>
      `[http.routers.${name}]\nrule = ${tomlText(rule)}\nservice = ${JSON.stringify(backend)}\n${more}\n`,
  );
  return routers.join('');
}

/** One service per server name, each with one URL. */
export function services(...names: readonly string[]): string {
  return names
    .map(
      (name) =>
        `[http.services.${name}.loadBalancer]\n[[http.services.${name}.loadBalancer.servers]]\nurl = "http://127.0.0.1:<${name}>"\n`,
    )
    .join('');
}

/** The router that says a set is live: `GET /__ready`. */
export const READY_RULES =
  '[http.routers.ready]\nrule = "Path(`/__ready`)"\nservice = "ready"\nentryPoints = ["web"]\n' +
  services('ready');

function tomlText(text: string): string {
  return text.includes("'") ? JSON.stringify(text) : `'${text}'`;
}
