// A hub's routes on disk, as its settings have them; what reads the file beside us decides the rest.

import type { parseDynamicConfiguration } from '../config/load-dynamic.ts';
import { NODE_FILE_SYSTEM } from '../hub/file-system.ts';
import { findRoutesFile } from '../hub/find-files.ts';
import { RoutesFile } from '../hub/routes-file.ts';
import { RoutesOnDisk } from '../hub/routes-on-disk.ts';
import type { HubSettings } from '../hub/settings.ts';
import { elementOptions, setupDynamic } from '../hub/setup-dynamic.ts';
import type { Logger } from '../log.ts';

/** `pid`: the process that others are told of when they want the same file. */
export function openRoutes(
  settings: HubSettings,
  log: Logger,
  options: {
    readonly preservePath: boolean;
    readonly usesJournal: boolean;
    readonly pid: number;
    readonly readForeign?: typeof parseDynamicConfiguration;
  },
): RoutesOnDisk {
  const { preservePath, usesJournal, pid, readForeign } = options;
  const file = new RoutesFile({
    path: findRoutesFile(settings.dynamicConfigFile),
    elements: elementOptions(settings, preservePath),
    setup: (present) => setupDynamic(settings, present),
    ...(readForeign === undefined ? {} : { readForeign }),
    fs: NODE_FILE_SYSTEM,
    log,
  });
  return new RoutesOnDisk({ file, fs: NODE_FILE_SYSTEM, log, usesJournal, pid });
}
