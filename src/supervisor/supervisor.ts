// Keeps everything running: one generation of processes, and for a while two when the static configuration changes. It reads no request, and
// no file but the static configuration at a reload, because its death ends everything; the listening sockets are its, so whoever dies takes no
// port along.
//
//   starting ──first generation ready──► serving ──SIGTERM, SIGINT──► stopping ──all generations ended──► exit
//                                         │  ▲
//                                         │  └── the next one is ready, the one before drains; or it could not start, and nothing changes
//                                         └─SIGHUP: another static configuration starts the next generation, else files are read again

import { isDeepStrictEqual } from 'node:util';
import type { StaticConfiguration } from '../config/static.ts';
import type { ListeningSocket } from '../entrypoint/listening-socket.ts';
import { errorText } from '../errors.ts';
import type { Logger } from '../log.ts';
import { Generation } from './generation.ts';
import { bindControllerServers, ListeningSockets } from './listening-sockets.ts';
import type { ControllerKind, ControllerServer } from './messages.ts';
import type { EarlyController } from './programs.ts';
import { createRuntimeFolder, removeRuntimeFolder } from './runtime-folder.ts';
import { ServiceManager } from './service-manager.ts';

const TICK_MS = 1000;
/** Silence after which a child is taken for hung, when no watchdog says how long that may be. */
const SILENCE_MS = 20_000;

/** A little longer than workers that are replaced let idle connections begin another request. */
const LAST_REQUESTS_MS = 1200;

/** What a supervisor runs. */
export interface SupervisorOptions {
  readonly static: StaticConfiguration;
  /** 0 = a controller alone. */
  readonly workers: number;
  readonly controller: ControllerKind;
  /** The first controller, when one has been started before; it ends with a supervisor that does not come to need it. */
  readonly earlyController?: EarlyController;
  /** What the controller accepts on. */
  readonly servers: readonly ControllerServer[];
  readonly log: Logger;
  /** Everything listens and has its first table. */
  readonly onReady: (info: { readonly apiUrl?: string }) => void;
  /** It could not start; one line. */
  readonly onFailure: (message: string) => void;
  /** The configuration as it is now, at SIGHUP; throws when it is not valid. Absent, or undefined: it cannot change. */
  readonly reload?: () => ReloadedConfiguration | undefined;
}

/** What a generation is started with. */
export interface ReloadedConfiguration {
  readonly static: StaticConfiguration;
  /** Absent: the one that there is. */
  readonly controller?: ControllerKind;
}

/** Runs everything until a signal, or a failure to start; resolves with the exit code. */
export function runSupervisor(options: SupervisorOptions): Promise<number> {
  return new Supervisor(options).run();
}

class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #log: Logger;
  readonly #folder: string;
  readonly #sockets = new ListeningSockets();
  #serverSockets: ReadonlyMap<string, ListeningSocket> = new Map();
  readonly #manager: ServiceManager;
  readonly #tickMs: number;
  #state: 'starting' | 'serving' | 'stopping' = 'starting';
  #current: Generation | undefined;
  /** Starting, while `current` serves. */
  #next: Generation | undefined;
  /** Replaced by `current`, and finishing its requests. */
  #previous: Generation | undefined;
  #generations = 0;
  #isReloadWanted = false;
  #tickedAt = 0;
  #exitCode = 0;
  #resolve: ((code: number) => void) | undefined;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#log = options.log;
    this.#folder = createRuntimeFolder();
    this.#manager = new ServiceManager(options.log);
    this.#tickMs = Math.min(TICK_MS, this.#manager.watchdogMs ?? TICK_MS);
  }

  run(): Promise<number> {
    for (const signal of ['SIGTERM', 'SIGINT'] as const)
      process.on(signal, () => {
        this.#onStopSignal();
      });
    process.on('SIGHUP', () => {
      void this.#reload();
    });
    const timer = setInterval(() => {
      this.#tick();
    }, this.#tickMs);
    void this.#startFirst();
    return new Promise((resolve) => {
      this.#resolve = (code) => {
        clearInterval(timer);
        resolve(code);
      };
    });
  }

  #onStopSignal(): void {
    if (this.#state === 'stopping') for (const generation of this.#all()) generation.kill();
    else this.#stop(0);
  }

  #all(): Generation[] {
    return [this.#previous, this.#current, this.#next].filter((generation) => generation !== undefined);
  }

  // The first generation.

  async #startFirst(): Promise<void> {
    try {
      this.#serverSockets = await bindControllerServers(this.#options.servers);
      this.#current = await this.#make(this.#options, {
        onReady: (info) => {
          this.#onFirstReady(info);
        },
        onFailure: (message) => {
          this.#fail(message);
        },
      });
    } catch (error) {
      this.#fail(errorText(error));
      return;
    }
    // A signal may have come meanwhile.
    if (this.#state === 'starting') this.#current.start();
    else this.#checkStopped();
  }

  async #make(
    { static: configuration, controller = this.#options.controller }: ReloadedConfiguration,
    listener: Pick<SupervisorOptions, 'onReady' | 'onFailure'>,
  ): Promise<Generation> {
    const sockets = await this.#sockets.open(configuration.entryPoints);
    const generation = new Generation({
      ...listener,
      static: configuration,
      workers: this.#options.workers,
      controller,
      isFirst: this.#state === 'starting',
      isExclusive: isExclusive(controller),
      holdsChanges: this.#state === 'serving' && isExclusive(controller),
      earlyController: this.#options.earlyController,
      log: this.#log,
      sharedFolder: this.#folder,
      name: String(++this.#generations),
      sockets,
      servers: this.#options.servers,
      serverSockets: this.#serverSockets,
      silentTicks: Math.ceil((this.#manager.watchdogMs ?? SILENCE_MS) / this.#tickMs),
      onEnded: () => {
        this.#onEnded(generation);
      },
    });
    return generation;
  }

  #onFirstReady(info: { readonly apiUrl?: string }): void {
    if (this.#state !== 'starting') return;
    this.#state = 'serving';
    this.#options.onReady(info);
    void this.#manager.ready('Serving');
    this.#reloadAgain();
  }

  #fail(message: string): void {
    if (this.#state !== 'starting') return;
    this.#options.onFailure(message);
    this.#stop(1);
  }

  // Another static configuration.

  async #reload(): Promise<void> {
    if (this.#state === 'stopping') return;
    if (this.#state === 'starting' || this.#next !== undefined || this.#previous !== undefined) {
      // At most two generations: this one begins when the one before the last has ended.
      if (!this.#isReloadWanted) this.#log.info('a reload waits until the one before it has come to its end');
      this.#isReloadWanted = true;
      return;
    }
    await this.#manager.reloading();
    const configuration = this.#readAgain();
    if (configuration === undefined || !this.#isNew(configuration)) {
      this.#current?.reload();
      void this.#manager.ready('Serving');
      return;
    }
    await this.#startNext(configuration);
  }

  #isNew({ static: configuration, controller }: ReloadedConfiguration): boolean {
    const current = this.#current;
    return (
      !isDeepStrictEqual(configuration, current?.static) ||
      (controller !== undefined && !isDeepStrictEqual(controller, current?.controller))
    );
  }

  #readAgain(): ReloadedConfiguration | undefined {
    try {
      return this.#options.reload?.();
    } catch (error) {
      this.#log.error(
        { reason: oneLine(error) },
        'the new static configuration is refused; the one before stays',
      );
      return undefined;
    }
  }

  async #startNext(configuration: ReloadedConfiguration): Promise<void> {
    const refuse = (message: string): void => {
      this.#log.error(
        { reason: message },
        'the new static configuration cannot be used; the one before stays',
      );
      this.#next = undefined;
      if (this.#current !== undefined) this.#sockets.keepOnly(this.#current.static.entryPoints);
      void this.#manager.ready('Serving');
    };
    try {
      const next = await this.#make(configuration, {
        onReady: () => {
          this.#replace(next);
        },
        onFailure: refuse,
      });
      if (this.#isStopping()) return;
      this.#next = next;
      // What has one keeper at a time changes hands; requests go on meanwhile, and whoever wants to change something waits.
      if (next.isExclusive) await this.#current?.yieldController();
      if (!this.#isStopping()) next.start();
    } catch (error) {
      refuse(oneLine(error));
    }
  }

  #isStopping(): boolean {
    return this.#state === 'stopping';
  }

  #replace(next: Generation): void {
    if (this.#state !== 'serving') return;
    this.#previous = this.#current;
    this.#current = next;
    this.#next = undefined;
    this.#log.info('the new static configuration is in force; what has begun under the old one is finished');
    this.#previous?.drain(true);
    // Until then a connection of the generation before may bring a request, and its workers hear of no change any more.
    setTimeout(() => {
      next.releaseChanges();
    }, LAST_REQUESTS_MS);
    this.#sockets.keepOnly(next.static.entryPoints);
    void this.#manager.ready('Serving');
  }

  /** A reload was asked for while it could not be. */
  #reloadAgain(): void {
    if (!this.#isReloadWanted || this.#state !== 'serving' || this.#previous !== undefined) return;
    this.#isReloadWanted = false;
    void this.#reload();
  }

  // Watching over the processes.

  #tick(): void {
    const current = this.#current;
    if (current === undefined || this.#state !== 'serving') return;
    current.tick();
    const now = performance.now();
    const { watchdogMs } = this.#manager;
    if (watchdogMs === undefined || now - this.#tickedAt < watchdogMs - this.#tickMs / 2) return;
    if (!current.isHealthy) return;
    this.#tickedAt = now;
    this.#manager.watchdog();
  }

  // The end.

  #stop(exitCode: number): void {
    const isOrderly = this.#state === 'serving';
    this.#state = 'stopping';
    this.#exitCode = exitCode;
    void this.#manager.stopping();
    // Workers have copies for as long as they accept; without one, nothing may wait in the kernel for nobody.
    this.#sockets.keepOnly(new Map());
    this.#next?.kill();
    for (const generation of [this.#previous, this.#current])
      if (isOrderly) generation?.drain(false);
      else generation?.kill();
    this.#checkStopped();
  }

  #onEnded(generation: Generation): void {
    if (this.#previous === generation) this.#previous = undefined;
    if (this.#next === generation) this.#next = undefined;
    // It could not take over.
    if (this.#state === 'serving' && this.#next === undefined && generation !== this.#current)
      this.#current?.resumeController();
    if (this.#state === 'stopping' && this.#current === generation) this.#current = undefined;
    this.#checkStopped();
    this.#reloadAgain();
  }

  #checkStopped(): void {
    if (this.#state !== 'stopping' || this.#all().length > 0) return;
    // The last controller may have been asked something until now.
    for (const socket of this.#serverSockets.values()) socket.close();
    this.#options.earlyController?.end();
    removeRuntimeFolder(this.#folder);
    this.#resolve?.(this.#exitCode);
  }
}

/** Only one controller at a time can keep a hub's routes. */
function isExclusive({ kind }: ControllerKind): boolean {
  return kind === 'hub';
}

function oneLine(error: unknown): string {
  return errorText(error).split('\n').join('; ');
}
