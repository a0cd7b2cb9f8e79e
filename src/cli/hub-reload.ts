// What SIGHUP means to the `hub` command: the settings file, if the settings are in one, and `traefik.toml` are read again. What only a start can
// change is named in the log.

import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { readStatic } from '../config/load-static.ts';
import type { StaticConfiguration } from '../config/static.ts';
import { ConfigError, errorText } from '../errors.ts';
import { isEmbedded, parseHubSettingsText } from '../hub/settings.ts';
import type { HubSettings } from '../hub/settings.ts';
import { buildStaticConfiguration, writeStaticFile } from '../hub/static-file.ts';
import type { Logger } from '../log.ts';
import type { ReloadedConfiguration } from '../supervisor/supervisor.ts';

/** The REST API and its token, what a hub that comes back looks for, and what a running program is. */
const FIXED = [
  'apiPort',
  'apiToken',
  'stateFile',
  'digest',
  'workers',
  'shouldStart',
  'engine',
  'dynamicConfigFile',
  'staticConfigFile',
  'traefikApiUsername',
  'traefikApiPassword',
  'traefikApiHashedPassword',
] as const satisfies readonly (keyof HubSettings)[];

/** What the processes are started with, from the text of a static file; throws ConfigError. */
export function hubStaticConfiguration(
  settings: HubSettings,
  text: string,
  staticFile: string,
): StaticConfiguration {
  const { configuration, tree } = readStatic(text, staticFile);
  const { log } = tree;
  const hasLevel = typeof log === 'object' && log !== null && 'level' in log;
  return {
    ...configuration,
    ...hubErrorPages(settings),
    // A hub's administrator wants to see what happens to the routes, which Traefik's own default would hide.
    ...(hasLevel ? {} : { log: { ...configuration.log, level: 'INFO' } }),
  };
}

function hubErrorPages(settings: HubSettings): Pick<StaticConfiguration, 'hubErrorPages'> {
  const {
    errorTarget: url,
    internalSslCa: caFile,
    internalSslCert: certFile,
    internalSslKey: keyFile,
  } = settings;
  if (url === undefined) return {};
  return {
    hubErrorPages:
      caFile === undefined || certFile === undefined || keyFile === undefined
        ? { url }
        : { url, caFile, certFile, keyFile },
  };
}

/** What a running hub has been started with. */
export interface HubReloadOptions {
  /** With everything that was made up at the start. */
  readonly settings: HubSettings;
  /** The file that they are in, and what stands there; absent: they cannot be read again. */
  readonly settingsFile?: string | undefined;
  readonly given: HubSettings;
  readonly staticFile: string;
  readonly staticText: string;
  readonly routesFile: string;
  readonly log: Logger;
}

/** Reads again what a hub was started with. */
export class HubReload {
  readonly #options: HubReloadOptions;
  /** As they were read last. */
  #given: HubSettings;
  #settings: HubSettings;
  #text: string;

  constructor(options: HubReloadOptions) {
    this.#options = options;
    this.#given = options.given;
    this.#settings = options.settings;
    this.#text = options.staticText;
  }

  /** The configuration as it is now, undefined where somebody else's engine has it; throws what is wrong with it. */
  read(): ReloadedConfiguration | undefined {
    const isChanged = this.#readSettings();
    if (!isEmbedded(this.#settings)) return undefined;
    const { staticFile, routesFile, log } = this.#options;
    let text: string;
    if (isChanged) {
      text = buildStaticConfiguration(this.#settings, { staticFile, routesFile }).text;
      void writeStaticFile(staticFile, text, log).catch((error: unknown) => {
        log.error({ file: staticFile, reason: errorText(error) }, 'the static configuration is not written');
      });
    } else text = readText(staticFile);
    const configuration = hubStaticConfiguration(this.#settings, text, staticFile);
    if (!isChanged && text !== this.#text)
      log.warn(
        { file: staticFile },
        'the static configuration was changed by hand: it is lost at the next start, which writes the file again (extra_static_config keeps changes)',
      );
    this.#text = text;
    return { static: configuration, controller: { kind: 'hub', settings: this.#settings } };
  }

  /** Whether there is anything new in them that can be taken into use. */
  #readSettings(): boolean {
    const { settingsFile } = this.#options;
    if (settingsFile === undefined) return false;
    const given = parseHubSettingsText(readText(settingsFile), settingsFile);
    const changed = changedKeys(this.#given, given);
    const isFixed = (name: keyof HubSettings): boolean =>
      !isEmbedded(this.#settings) || FIXED.some((fixed) => fixed === name);
    const fixed = changed.filter(isFixed);
    if (fixed.length > 0)
      this.#options.log.warn(
        { file: settingsFile, keys: fixed.join(', ') },
        'these settings are not taken into use by SIGHUP: they need another start of the program',
      );
    const usable = changed.filter((name) => !isFixed(name));
    if (usable.length === 0) return false;
    const taken = Object.fromEntries(usable.map((name) => [name, given[name]]));
    this.#given = { ...this.#given, ...taken };
    this.#settings = { ...this.#settings, ...taken };
    return true;
  }
}

function changedKeys(before: HubSettings, after: HubSettings): (keyof HubSettings)[] {
  const names = new Set([...Object.keys(before), ...Object.keys(after)]) as ReadonlySet<keyof HubSettings>;
  return [...names].filter((name) => !isDeepStrictEqual(before[name], after[name]));
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new ConfigError([{ file, message: errorText(cause) }], {
      code: 'JTP_ERR_CONFIG_UNREADABLE',
      cause,
    });
  }
}
