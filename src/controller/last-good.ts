// The last usable content of the file provider, kept in the private folder: a controller that is started while the file is broken must
// not take the routes away that its predecessor had given to the workers.

import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DynamicConfiguration } from '../config/dynamic.ts';

/** A configuration on disk for as long as its supervisor lives. */
export class LastGood {
  readonly #path: string;

  constructor(sharedFolder: string) {
    this.#path = join(sharedFolder, 'last-good.json');
  }

  save(configuration: DynamicConfiguration): void {
    const { routers, services, middlewares, serversTransports, tls } = configuration;
    const plain = {
      routers: [...routers],
      services: [...services],
      middlewares: [...middlewares],
      serversTransports: [...(serversTransports ?? [])],
      tls,
    };
    writeFileSync(`${this.#path}.new`, JSON.stringify(plain), { mode: 0o600 });
    renameSync(`${this.#path}.new`, this.#path);
  }

  /** Undefined when nothing usable was ever there. */
  load(): DynamicConfiguration | undefined {
    let text: string;
    try {
      text = readFileSync(this.#path, 'utf8');
    } catch {
      // The first controller of this supervisor.
      return undefined;
    }
    // Written by `save`, in a folder that nobody else can write to.
    const plain = JSON.parse(text) as {
      routers: [];
      services: [];
      middlewares: [];
      serversTransports: [];
      tls: DynamicConfiguration['tls'];
    };
    return {
      routers: new Map(plain.routers),
      services: new Map(plain.services),
      middlewares: new Map(plain.middlewares),
      serversTransports: new Map(plain.serversTransports),
      tls: plain.tls,
    };
  }
}
