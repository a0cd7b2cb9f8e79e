// The part of a controller that every engine has: the runtime, the channel to the workers and the read API. Whoever has routes to offer
// calls `replace` or `patch`, and is told when they are live in every worker.

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { ControlServer } from '../channel/control-server.ts';
import type { ActivityMessage, CountsMessage } from '../channel/messages.ts';
import { API_SOCKET, CONTROL_SOCKET } from '../channel/socket-names.ts';
import type { DynamicConfiguration } from '../config/dynamic.ts';
import type { StaticConfiguration } from '../config/static.ts';
import type { Logger } from '../log.ts';
import { createMiddleware } from '../middleware/middleware.ts';
import { builtInServices, internalConfiguration, withEntryPointAuth } from '../provider/internal.ts';
import type { ProcessMetrics } from '../observe/reports.ts';
import type { DynamicPatch } from '../runtime/dynamic-patch.ts';
import { Runtime } from '../runtime/runtime.ts';
import type { TableChange } from '../runtime/table-change.ts';
import { assertUsablePair } from '../tls/certificate-store.ts';
import { DefaultCertificate, stateFolder } from '../tls/default-certificate.ts';
import { parseTargetUrl } from '../upstream/target-address.ts';
import { assertUsableTransport } from '../upstream/transport.ts';
import { VERSION } from '../config/version.ts';
import { TlsUpkeep } from './tls-upkeep.ts';
import { TrafficWatch } from './traffic-watch.ts';

/** What may be wanted some time, and takes long to make, is made so long after the start. */
const LATER_MS = 3000;

/** What an engine controller is made of. */
export interface EngineControllerOptions {
  readonly static: StaticConfiguration;
  /** Private folder of the supervisor. */
  readonly runtimeFolder: string;
  readonly log: Logger;
  readonly onSilentWorker: (workerId: number) => void;
  /** Routes that were used, from each worker once a second. Present where routes are a hub's. */
  readonly onActivity?: (routes: readonly ActivityMessage[]) => void;
  /** What the workers have counted, where there are metrics. */
  readonly onCounts?: (counts: CountsMessage) => void;
}

/** Runtime, channel and read API of one engine. */
export class EngineController {
  readonly runtime: Runtime;
  readonly #control: ControlServer;
  #api: FastifyInstance | undefined;
  readonly #startedAt = new Date();
  readonly #apiPath: string;
  readonly #controlPath: string;
  readonly #defaultCertificate: DefaultCertificate;
  /** The command configurable-http-proxy brings its certificate along. */
  readonly #hasOwnTls: boolean;
  readonly #upkeep: TlsUpkeep;
  /** Where there are Traefik's metrics. */
  readonly #traffic: TrafficWatch | undefined;
  /** Resolves when clients that are to be offered our own certificate get it. */
  #offered: Promise<void> = Promise.resolve();
  #laterTimer: NodeJS.Timeout | undefined;
  #isTerminating = false;

  constructor(given: EngineControllerOptions) {
    const options = { ...given, static: withEntryPointAuth(given.static) };
    const defaultCertificate = new DefaultCertificate(stateFolder(process.env), options.log);
    const runtime = createRuntime(options, defaultCertificate);
    this.runtime = runtime;
    const { prometheus } = options.static;
    const traffic = prometheus === undefined ? undefined : new TrafficWatch(runtime, prometheus);
    this.#traffic = traffic;
    this.#defaultCertificate = defaultCertificate;
    this.#hasOwnTls = [...options.static.entryPoints.values()].some(
      ({ serverTls }) => serverTls !== undefined,
    );
    this.#upkeep = new TlsUpkeep({
      files: () => runtime.tlsFiles,
      onFilesChanged: () => {
        void this.#publish(runtime.reloadTls());
      },
      onTicketKeyDue: () => {
        void this.#publish(runtime.rotateTicketKey());
      },
    });
    this.#controlPath = join(options.runtimeFolder, CONTROL_SOCKET);
    this.#control = new ControlServer({
      path: this.#controlPath,
      log: options.log,
      snapshot: () => runtime.snapshot(),
      onSilent: options.onSilentWorker,
      ...(options.onActivity === undefined ? {} : { onActivity: options.onActivity }),
      onCounts: (counts) => {
        options.onCounts?.(counts);
        traffic?.note(counts);
      },
    });
    this.#apiPath = join(options.runtimeFolder, API_SOCKET);
  }

  /** A provider's whole configuration; resolves when it is live in every accepting worker. */
  replace(provider: string, configuration: DynamicConfiguration): Promise<void> {
    return this.#publishRoutes(this.runtime.replace(provider, configuration));
  }

  /** A change to a provider's configuration; resolves when it is live in every accepting worker. */
  patch(provider: string, patch: DynamicPatch): Promise<void> {
    return this.#publishRoutes(this.runtime.patch(provider, patch));
  }

  #publishRoutes(change: TableChange | undefined): Promise<void> {
    if (change !== undefined) this.#traffic?.metrics.reloaded();
    return this.#publish(change);
  }

  async #publish(change: TableChange | undefined): Promise<void> {
    if (change === undefined) return;
    const live = this.#control.publish(change);
    if (!this.#hasOwnTls && this.runtime.offersFallback(change)) {
      void this.#defaultCertificate.offer();
      if (this.#defaultCertificate.pair === undefined) this.#offered = this.#makeCertificate();
      await this.#offered;
    }
    await live;
  }

  /** Resolves when every worker has it. */
  async #makeCertificate(): Promise<void> {
    await this.#defaultCertificate.make();
    const change = this.runtime.reloadTls();
    if (change !== undefined) await this.#control.publish(change);
  }

  /** Workers can connect from now on; they wait for `start`. */
  async listen(): Promise<void> {
    // A controller that was killed has left its sockets behind.
    rmSync(this.#apiPath, { force: true });
    rmSync(this.#controlPath, { force: true });
    await this.#control.listen();
  }

  /** The first complete table must be in: workers take what there is. */
  async start(): Promise<void> {
    this.#api = await this.#createApi();
    await this.#api.listen({ path: this.#apiPath });
    const isWanted = !this.#hasOwnTls && this.#defaultCertificate.pair === undefined;
    if (isWanted && this.#expectsTls && this.runtime.needsFallback) this.#offered = this.#makeCertificate();
    await this.#offered;
    this.#control.open();
    // Whoever comes with TLS although nothing asks for it gets an answer, too.
    if (isWanted)
      this.#laterTimer = setTimeout(() => {
        if (this.runtime.needsFallback) void this.#makeCertificate();
      }, LATER_MS).unref();
  }

  async #createApi(): Promise<FastifyInstance> {
    const { createReadApi } = await import('./read-api-server.ts');
    const { runtime } = this;
    const traffic = this.#traffic;
    return createReadApi({
      static: runtime.static,
      runtime,
      startedAt: this.#startedAt,
      version: VERSION,
      isTerminating: () => this.#isTerminating,
      ...(traffic === undefined
        ? {}
        : { readMetrics: async () => traffic.metrics.render(await this.count()) }),
    });
  }

  get #expectsTls(): boolean {
    return [...this.runtime.static.entryPoints.values()].some(({ http: { tls } }) => tls !== undefined);
  }

  /** Which workers accept requests, from the supervisor. */
  setAccepting(workerIds: readonly number[]): void {
    this.#control.setAccepting(workerIds);
  }

  /** Lets every worker tell what it has counted; resolves with what they tell about their processes. */
  count(): Promise<readonly ProcessMetrics[]> {
    return this.#control.count();
  }

  /** From now on `/ping` says that the engine is going. */
  terminate(): void {
    this.#isTerminating = true;
  }

  async stop(): Promise<void> {
    clearTimeout(this.#laterTimer);
    this.#upkeep.stop();
    this.#control.stop();
    await this.#api?.close();
  }
}

function createRuntime(options: EngineControllerOptions, defaultCertificate: DefaultCertificate): Runtime {
  const runtime = new Runtime({
    static: options.static,
    log: options.log,
    checks: {
      middleware: (spec) => {
        createMiddleware(spec);
      },
      serverUrl: (url) => {
        parseTargetUrl(url);
      },
      transport: assertUsableTransport,
    },
    builtInServices: builtInServices(options.static, { knowsStopped: options.onActivity !== undefined }),
    fallbackCertificate: () => defaultCertificate.pair,
    checkCertificate: assertUsablePair,
  });
  runtime.replace('internal', internalConfiguration(options.static));
  return runtime;
}
