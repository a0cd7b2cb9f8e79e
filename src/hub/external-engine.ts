// An engine that somebody else runs: we write the file, it watches the file, and a change counts when its API shows it. Many waiting
// changes share one question.

import { Agent, request } from 'undici';
import { isTable } from '../config/schema.ts';
import { errorText, ProxyError } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { RouteBatch, RouteEngine } from './route-store.ts';
import type { StoredRoute } from './routes-file.ts';

/** Between two questions, in milliseconds: the first comes soon, later ones less often. */
const FIRST_DELAY_MS = 15;
const LONGEST_DELAY_MS = 500;
/** With more changes waiting than this, everything is asked for at once. */
const SINGLE_QUESTIONS = 4;
const REQUEST_TIMEOUT_MS = 5000;

/** What an external engine is reached by. */
export interface ExternalEngineOptions {
  readonly apiUrl: string;
  readonly username: string;
  readonly password: string;
  readonly validatesCertificate: boolean;
  readonly timeoutMs: number;
  /** For error messages. */
  readonly file: string;
  readonly log: Logger;
}

interface Waiting {
  readonly route: StoredRoute;
  readonly isDeleted: boolean;
  readonly deadline: number;
  readonly resolve: () => void;
  readonly reject: (error: ProxyError) => void;
}

/** One answer of the API. */
interface Answer {
  readonly status: number;
  readonly body: unknown;
}

/** Confirms batches through the API of an engine. */
export class ExternalEngine implements RouteEngine {
  readonly #options: ExternalEngineOptions;
  readonly #agent: Agent;
  readonly #waiting = new Set<Waiting>();
  #isPolling = false;
  #lastAnswer = 'nothing yet';

  constructor(options: ExternalEngineOptions) {
    this.#options = options;
    this.#agent = new Agent({
      connect: { rejectUnauthorized: options.validatesCertificate },
      headersTimeout: REQUEST_TIMEOUT_MS,
      bodyTimeout: REQUEST_TIMEOUT_MS,
      connectTimeout: REQUEST_TIMEOUT_MS,
    });
  }

  async apply({ set, deleted }: RouteBatch): Promise<void> {
    const deadline = Date.now() + this.#options.timeoutMs;
    const confirm = (route: StoredRoute, isDeleted: boolean): Promise<void> =>
      new Promise((resolve, reject) => {
        this.#waiting.add({ route, isDeleted, deadline, resolve, reject });
      });
    const all = [
      ...set.map((route) => confirm(route, false)),
      ...deleted.map((route) => confirm(route, true)),
    ];
    if (all.length === 0) return;
    void this.#poll();
    await Promise.all(all);
  }

  applyForeign(): void {
    // It is in the file, which is all there is to do.
  }

  async stop(): Promise<void> {
    await this.#agent.destroy();
  }

  async #poll(): Promise<void> {
    if (this.#isPolling) return;
    this.#isPolling = true;
    let delay = FIRST_DELAY_MS;
    while (this.#waiting.size > 0) {
      await new Promise((resolve) => setTimeout(resolve, delay));
      const before = this.#waiting.size;
      await this.#ask();
      this.#giveUpLate();
      delay = this.#waiting.size < before ? FIRST_DELAY_MS : Math.min(LONGEST_DELAY_MS, delay * 1.5);
    }
    this.#isPolling = false;
  }

  async #ask(): Promise<void> {
    try {
      if (this.#waiting.size > SINGLE_QUESTIONS) await this.#askForAll();
      else for (const waiting of this.#waiting) await this.#askFor(waiting);
    } catch (error) {
      if (error instanceof ProxyError && error.code === 'JTP_ERR_ENGINE_DENIED') {
        this.#rejectAll(error);
        return;
      }
      this.#lastAnswer = errorText(error);
    }
  }

  async #askFor(waiting: Waiting): Promise<void> {
    const { router, service } = waiting.route;
    const found = await this.#get(`/api/http/routers/${encodeURIComponent(`${router}@file`)}`);
    if (waiting.isDeleted) {
      if (found.status === 404) this.#confirm(waiting);
      return;
    }
    if (found.status !== 200) return;
    const servers = await this.#get(`/api/http/services/${encodeURIComponent(`${service}@file`)}`);
    if (servers.status === 200) this.#judge(waiting, found.body, servers.body);
  }

  async #askForAll(): Promise<void> {
    const { status, body } = await this.#get('/api/rawdata');
    if (status !== 200 || !isTable(body)) return;
    const routers = isTable(body['routers']) ? body['routers'] : {};
    const services = isTable(body['services']) ? body['services'] : {};
    for (const waiting of this.#waiting) {
      const router = routers[`${waiting.route.router}@file`];
      if (waiting.isDeleted) {
        if (router === undefined) this.#confirm(waiting);
      } else if (router !== undefined)
        this.#judge(waiting, router, services[`${waiting.route.service}@file`]);
    }
  }

  /** It is not enough that a router of the name exists: it must work, and lead to this target. */
  #judge(waiting: Waiting, router: unknown, service: unknown): void {
    if (!isTable(router) || !isTable(service)) return;
    if (router['status'] === 'disabled') {
      const errors = Array.isArray(router['error']) ? router['error'].join('; ') : 'no reason given';
      this.#lastAnswer = `router ${waiting.route.router}@file is disabled: ${errors}`;
      return;
    }
    const balancer = isTable(service['loadBalancer']) ? service['loadBalancer'] : {};
    const servers: readonly unknown[] = Array.isArray(balancer['servers']) ? balancer['servers'] : [];
    const isThere = servers.length === 1 && isTable(servers[0]) && servers[0]['url'] === waiting.route.target;
    if (isThere && router['rule'] === waiting.route.rule) this.#confirm(waiting);
    else this.#lastAnswer = `router ${waiting.route.router}@file still shows what it was before`;
  }

  #confirm(waiting: Waiting): void {
    this.#waiting.delete(waiting);
    waiting.resolve();
  }

  #rejectAll(error: ProxyError): void {
    for (const waiting of this.#waiting) waiting.reject(error);
    this.#waiting.clear();
  }

  #giveUpLate(): void {
    const now = Date.now();
    for (const waiting of this.#waiting) {
      if (waiting.deadline > now) continue;
      this.#waiting.delete(waiting);
      const { file, apiUrl, timeoutMs } = this.#options;
      waiting.reject(
        new ProxyError('JTP_ERR_ROUTE_TIMEOUT', {
          message:
            `route ${waiting.route.routespec} stands in ${file}, but the engine at ${apiUrl} does not ` +
            `${waiting.isDeleted ? 'forget' : 'show'} it after ${String(timeoutMs / 1000)} s; its last answer: ${this.#lastAnswer}. ` +
            'Does the engine watch this file (providers.file), may it read it, and is providersThrottleDuration short?',
        }),
      );
    }
  }

  async #get(path: string): Promise<Answer> {
    const { apiUrl, username, password } = this.#options;
    const base = apiUrl.replace(/\/+$/, '');
    const { statusCode, body } = await request(`${base}${path}`, {
      dispatcher: this.#agent,
      headers:
        username === ''
          ? {}
          : { authorization: `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}` },
    });
    const text = await body.text();
    if (statusCode === 401 || statusCode === 403)
      throw new ProxyError('JTP_ERR_ENGINE_DENIED', {
        message: `the engine's API at ${apiUrl} refuses user "${username}" (${String(statusCode)}): check traefik_api_username and traefik_api_password`,
      });
    this.#lastAnswer = `${String(statusCode)} to ${path}`;
    return { status: statusCode, body: parseJson(text) };
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    // Not an API: the status says enough.
    return undefined;
  }
}
