import type { Logger } from '../log.ts';
import type { ControllerStart } from '../supervisor/messages.ts';
import type { RunningController } from './main.ts';
export function startHubController(
  _start: ControllerStart,
  _settings: unknown,
  _log: Logger,
): Promise<RunningController> {
  return Promise.reject(new Error('not yet'));
}
