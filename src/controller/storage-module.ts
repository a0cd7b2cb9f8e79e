// `--storage-backend MODULE`: a class that somebody has written for configurable-http-proxy. Source: the chapter on storage backends in
// that program's documentation. What the class has is checked here, so that a wrong module ends the start and not a request.

import { pathToFileURL } from 'node:url';
import { format } from 'node:util';
import { errorText, ProxyError } from '../errors.ts';
import type { Logger } from '../log.ts';

/** What is called of it; results may be promises. Paths are decoded, as in the REST API. */
export interface StorageBackend {
  /** Path → data with its `target`. */
  readonly getAll: () => unknown;
  readonly add: (path: string, data: object) => unknown;
  /** Some keys of the data. */
  readonly update: (path: string, data: object) => unknown;
  readonly remove: (path: string) => unknown;
}

const METHODS = ['getAll', 'add', 'update', 'remove'] as const;

/** What the constructor is given. */
export interface StorageOptions {
  readonly storageBackend: string;
  readonly hostRouting: boolean;
  readonly defaultTarget: string | undefined;
}

/** Makes an instance of the module's class; rejects with JTP_ERR_SETTINGS_INVALID. */
export async function loadStorage(
  path: string,
  options: StorageOptions,
  log: Logger,
): Promise<StorageBackend> {
  let instance: unknown;
  try {
    const Storage = classOf(await import(pathToFileURL(path).href));
    instance = new Storage({ ...options, log: loggerFor(log) });
  } catch (cause) {
    throw refusal(path, errorText(cause), cause);
  }
  const missing = METHODS.filter((name) => !hasMethod(instance, name));
  if (missing.length > 0)
    throw refusal(path, `its class has no ${missing.map((name) => `${name}()`).join(', ')}`);
  // Checked above.
  return instance as StorageBackend;
}

/** A CommonJS module is such a class; others export it by default. */
function classOf(namespace: unknown): new (options: object) => unknown {
  let found = namespace;
  while (typeof found === 'object' && found !== null && 'default' in found) found = found.default;
  if (typeof found !== 'function') throw new Error('it exports no class');
  // Whether it can be constructed is seen at once.
  return found as new (options: object) => unknown;
}

function hasMethod(instance: unknown, name: string): boolean {
  return (
    typeof instance === 'object' &&
    instance !== null &&
    name in instance &&
    typeof (instance as Record<string, unknown>)[name] === 'function'
  );
}

function refusal(path: string, reason: string, cause?: unknown): ProxyError {
  return new ProxyError('JTP_ERR_SETTINGS_INVALID', {
    message: `--storage-backend "${path}": ${reason}`,
    cause,
  });
}

/** Code written for the other program's logger gives it a format and its values. */
function loggerFor(log: Logger): object {
  const at =
    (level: 'debug' | 'info' | 'warn' | 'error') =>
    (...values: unknown[]): void => {
      log[level](format(...values));
    };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}
