// The read API of an engine that somebody else runs: Traefik, or ours. Asked for single routers and services, or for everything at once;
// the API of version 1 is understood, too, since our engine offers it with a version-1 static file. Source: Traefik documentation, API.

import { Agent, request } from 'undici';
import { errnoOf, errorText, ProxyError } from '../errors.ts';
import { isTree, newTree, subtree } from './values.ts';
import type { Tree } from './values.ts';

const CONNECT_TIMEOUT_MS = 3000;
const ANSWER_TIMEOUT_MS = 10_000;
/** A table of a hundred thousand routers fits; whatever is larger is no API. */
const MAX_ANSWER_BYTES = 256 * 1024 * 1024;

/** How to reach the API. */
export interface EngineApiOptions {
  /** As the plug-in's `traefik_api_url`. */
  readonly url: string;
  readonly username: string;
  readonly password: string;
  readonly validateCertificate: boolean;
}

/** What the API shows of one router; undefined parts are not there. */
export interface ShownRouter {
  readonly rule: string | undefined;
  readonly service: string | undefined;
  /** `enabled`, `warning`, `disabled`. */
  readonly status: string;
  readonly errors: readonly string[];
  /** Servers of the router's service. */
  readonly servers: readonly string[];
}

/** One question to the API. */
export interface Answer {
  readonly status: number;
  readonly document: unknown;
  readonly text: string;
}

/** The API could not be asked, or gave nonsense; a value and not an exception, because it is asked again. */
export class ApiTrouble {
  readonly reason: string;
  /** Nobody listens there: no request can be routed by it either. */
  readonly isDown: boolean;

  constructor(reason: string, isDown = false) {
    this.reason = reason;
    this.isDown = isDown;
  }
}

/** A client of one engine's API. */
export class EngineApi {
  readonly #options: EngineApiOptions;
  readonly #base: string;
  readonly #agent: Agent;

  constructor(options: EngineApiOptions) {
    this.#options = options;
    const url = new URL(options.url);
    this.#base = `${url.origin}${url.pathname.replace(/\/+$/, '').replace(/\/api$/, '')}`;
    this.#agent = new Agent({
      connections: 4,
      connect: { timeout: CONNECT_TIMEOUT_MS, rejectUnauthorized: options.validateCertificate },
      headersTimeout: ANSWER_TIMEOUT_MS,
      bodyTimeout: ANSWER_TIMEOUT_MS,
      maxResponseSize: MAX_ANSWER_BYTES,
    });
  }

  /** Where it is, for messages. */
  get url(): string {
    return this.#base;
  }

  close(): Promise<void> {
    return this.#agent.destroy();
  }

  /** Rejects only with ProxyError JTP_ERR_ENGINE_DENIED. */
  async get(path: string): Promise<Answer | ApiTrouble> {
    const { username, password } = this.#options;
    const credentials = Buffer.from(`${username}:${password}`, 'utf8').toString('base64');
    let status: number;
    let text: string;
    try {
      const response = await request(`${this.#base}${path}`, {
        dispatcher: this.#agent,
        headers: {
          accept: 'application/json',
          ...(username === '' ? {} : { authorization: `Basic ${credentials}` }),
        },
      });
      status = response.statusCode;
      text = await response.body.text();
    } catch (error) {
      return troubleOf(error);
    }
    if (status === 401 || status === 403)
      throw new ProxyError('JTP_ERR_ENGINE_DENIED', {
        message: `the engine's API at ${this.#base} refuses user "${username}" (status ${String(status)}): set traefik_api_username and traefik_api_password to what the engine expects`,
      });
    let document: unknown;
    try {
      document = JSON.parse(text);
    } catch {
      // Errors may be plain text.
      document = undefined;
    }
    return { status, document, text: text.slice(0, 200).trim() };
  }

  /** One router with its service; `none` when there is no such router. */
  async router(name: string, serviceName: string | undefined): Promise<ShownRouter | 'none' | ApiTrouble> {
    const found = await this.get(`/api/http/routers/${encodeURIComponent(name)}`);
    if (found instanceof ApiTrouble) return found;
    if (found.status === 404) return 'none';
    const { document } = found;
    if (found.status !== 200 || !isTree(document)) return unexpected(found);
    if (serviceName === undefined) return shownRouter(document, undefined);
    const service = await this.get(`/api/http/services/${encodeURIComponent(serviceName)}`);
    if (service instanceof ApiTrouble) return service;
    if (service.status !== 200 && service.status !== 404) return unexpected(service);
    return shownRouter(document, isTree(service.document) ? service.document : undefined);
  }

  /** All routers at once, by qualified name. */
  async allRouters(provider: string): Promise<ReadonlyMap<string, ShownRouter> | ApiTrouble> {
    const answer = await this.get('/api/rawdata');
    if (answer instanceof ApiTrouble) return answer;
    if (answer.status !== 200 || !isTree(answer.document)) return unexpected(answer);
    const services = subtree(answer.document, 'services');
    const routers = new Map<string, ShownRouter>();
    for (const [name, router] of Object.entries(subtree(answer.document, 'routers'))) {
      if (!isTree(router)) continue;
      const service = services[`${String(router['service'])}@${provider}`];
      routers.set(name, shownRouter(router, isTree(service) ? service : undefined));
    }
    return routers;
  }

  /** The same from the API of version 1. */
  async allV1Routers(provider: string): Promise<ReadonlyMap<string, ShownRouter> | ApiTrouble> {
    const answer = await this.get(`/api/providers/${provider}`);
    if (answer instanceof ApiTrouble) return answer;
    if (answer.status === 404) return new Map();
    if (answer.status !== 200 || !isTree(answer.document)) return unexpected(answer);
    const backends = subtree(answer.document, 'backends');
    const routers = new Map<string, ShownRouter>();
    for (const [name, frontend] of Object.entries(subtree(answer.document, 'frontends'))) {
      if (!isTree(frontend)) continue;
      const backend = backends[String(frontend['backend'])];
      const servers = Object.values(isTree(backend) ? subtree(backend, 'servers') : newTree());
      const rules = Object.values(subtree(frontend, 'routes')).filter(isTree);
      routers.set(`${name}@${provider}`, {
        rule: textOf(rules[0]?.['rule']),
        service: textOf(frontend['backend']),
        status: 'enabled',
        errors: [],
        servers: servers.filter(isTree).map(({ url }) => String(url)),
      });
    }
    return routers;
  }
}

function shownRouter(router: Tree, service: Tree | undefined): ShownRouter {
  const balancer = service === undefined ? newTree() : subtree(service, 'loadBalancer');
  const servers: readonly unknown[] = Array.isArray(balancer['servers']) ? balancer['servers'] : [];
  const errors: readonly unknown[] = Array.isArray(router['error']) ? router['error'] : [];
  return {
    rule: textOf(router['rule']),
    service: textOf(router['service']),
    status: textOf(router['status']) ?? 'enabled',
    errors: errors.map(String),
    servers: servers.filter(isTree).map(({ url }) => String(url)),
  };
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function unexpected({ status, text }: Answer): ApiTrouble {
  return new ApiTrouble(`it answered ${String(status)} ${JSON.stringify(text)}`);
}

function troubleOf(error: unknown): ApiTrouble {
  // With several addresses to try, the reasons are in the parts.
  const first: unknown = error instanceof AggregateError ? error.errors[0] : error;
  const code = errnoOf(first);
  return new ApiTrouble(errorText(first) || code, code === 'ECONNREFUSED' || code === 'ENOENT');
}
