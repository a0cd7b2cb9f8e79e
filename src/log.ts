// The logger of every process: pino, as readable lines by default and as JSON on request. `error` means somebody must act, `warn`
// degraded, `info` life cycle, `debug` one line per exchange. Query strings and credentials never get here.

import { pino } from 'pino';
import type { Logger as PinoLogger } from 'pino';
import pretty from 'pino-pretty';
import type { PrettyOptions } from 'pino-pretty';
import type { LogConfiguration } from './config/static.ts';

/** A fixed message plus fields: `log.warn({ file }, 'the routes file was truncated')`. */
export type Logger = PinoLogger;

const PINO_LEVELS = {
  TRACE: 'trace',
  DEBUG: 'debug',
  INFO: 'info',
  WARN: 'warn',
  ERROR: 'error',
  FATAL: 'fatal',
  PANIC: 'fatal',
} as const satisfies Record<LogConfiguration['level'], string>;

/** What would begin a line of its own, or tell a terminal to do something: control characters, line ends, changes of direction. */
const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g;

/** Names of routes and servers are for their owners to choose: they must not look like lines that the proxy has written. */
function printable(text: unknown): string {
  return String(text).replace(
    UNPRINTABLE,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

function printableFields(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [
      name,
      typeof value === 'string' ? printable(value) : value,
    ]),
  );
}

/** Makes the logger of one process; `part` is its name in every line (`supervisor`, `controller`, `worker 2`). */
export function createLogger(part: string, configuration: LogConfiguration): Logger {
  const level = PINO_LEVELS[configuration.level];
  const destination = configuration.filePath ?? 1;
  const base = { part };
  if (configuration.format === 'json')
    return pino({ level, base }, pino.destination({ dest: destination, sync: true, mkdir: true }));
  const stream = pretty({
    destination,
    sync: true,
    mkdir: true,
    colorize: !configuration.noColor && configuration.filePath === undefined && process.stdout.isTTY,
    translateTime: "UTC:yyyy-mm-dd'T'HH:MM:ss'Z'",
    ignore: 'part',
    messageFormat: (entry, messageKey) => `[${String(entry['part'])}] ${printable(entry[messageKey])}`,
    singleLine: true,
    ...(configuration.format === 'chp' ? CHP_FORMAT : {}),
  });
  return pino({ level, base, formatters: { log: printableFields } }, stream);
}

/** `2026-01-01T00:00:00.000Z [ConfigProxy] info: message {"field":1}`: what parses configurable-http-proxy's log goes on working. */
const CHP_FORMAT: PrettyOptions = {
  ignore: 'part,level,time',
  messageFormat: ({ time, level, ...entry }, messageKey) => {
    const label = pino.levels.labels[Number(level)] ?? 'info';
    return `${new Date(Number(time)).toISOString()} [ConfigProxy] ${label}: ${printable(entry[messageKey])}`;
  },
};
