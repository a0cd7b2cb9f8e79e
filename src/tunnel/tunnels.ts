// All tunnels of a worker: who closes them when their route goes or the worker does.

import type { Deadlines } from '../http1/deadlines.ts';
import { Tunnel } from './tunnel.ts';
import type { TunnelKeeper, TunnelParts } from './tunnel.ts';

/** How long both sides of a tunnel may take to answer a goodbye. */
const GOODBYE_MS = 3000;

/** How much of a drain's time is for saying goodbye; the rest is for the answers. */
const SPREAD = 0.8;
/** Tunnels are not closed more slowly than this, one after the other. */
const MAX_STEP_MS = 5;
const TICK_MS = 20;

/** The open tunnels. */
export class Tunnels implements TunnelKeeper {
  readonly deadlines: Deadlines;
  readonly maxIdleMs: number;
  readonly #open = new Set<Tunnel>();
  #timer: NodeJS.Timeout | undefined;
  #onEmpty: (() => void) | undefined;

  /** `maxIdleMs`: 0 = no limit. */
  constructor(deadlines: Deadlines, maxIdleMs: number) {
    this.deadlines = deadlines;
    this.maxIdleMs = maxIdleMs;
  }

  get size(): number {
    return this.#open.size;
  }

  [Symbol.iterator](): Iterator<Tunnel> {
    return this.#open.values();
  }

  /** Joins two sockets. */
  open(parts: TunnelParts): void {
    this.#open.add(new Tunnel(parts, this));
  }

  onClosed(tunnel: Tunnel): void {
    this.#open.delete(tunnel);
    if (this.#open.size === 0) this.#onEmpty?.();
  }

  /** These routers are gone: their tunnels are told so, all others notice nothing. */
  closeOf(routers: ReadonlySet<string>): void {
    if (routers.size === 0) return;
    for (const tunnel of this.#open) if (routers.has(tunnel.router)) tunnel.close(GOODBYE_MS);
  }

  /**
   * Says goodbye to all tunnels, spread over most of `graceMs` so that their clients do not all come back at the same moment. Resolves when
   * the last one is closed; tunnels that come into being meanwhile are closed too.
   */
  async drain(graceMs: number): Promise<void> {
    if (this.#open.size === 0) return;
    const spreadMs = Math.min(graceMs * SPREAD, this.#open.size * MAX_STEP_MS);
    const total = this.#open.size;
    const begin = performance.now();
    let closed = 0;
    const step = (): void => {
      const elapsed = performance.now() - begin;
      const isLate = elapsed >= spreadMs;
      const due = isLate ? Infinity : Math.ceil((total * elapsed) / spreadMs);
      const grace = Math.min(GOODBYE_MS, Math.max(0, graceMs - elapsed));
      for (const tunnel of this.#open) {
        if (closed >= due) return;
        if (tunnel.isOpen) {
          tunnel.close(grace);
          closed++;
        }
      }
    };
    this.#timer = setInterval(step, TICK_MS);
    step();
    await new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
    });
    clearInterval(this.#timer);
  }

  /** Cuts them all. */
  close(): void {
    clearInterval(this.#timer);
    for (const tunnel of this.#open) tunnel.destroy();
  }
}
