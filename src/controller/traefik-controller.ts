// The controller of the `traefik` command: the file provider feeds the runtime.

import type { Logger } from '../log.ts';
import { FileProvider } from '../provider/file.ts';
import { tell } from '../supervisor/child.ts';
import type { ControllerStart, FromController } from '../supervisor/messages.ts';
import { EngineController } from './engine-controller.ts';
import { LastGood } from './last-good.ts';
import type { RunningController } from './main.ts';

export async function startTraefikController(
  start: ControllerStart,
  log: Logger,
): Promise<RunningController> {
  const { static: configuration, runtimeFolder, sharedFolder } = start;
  const engine = new EngineController({
    static: configuration,
    runtimeFolder,
    log,
    onSilentWorker: (workerId) => {
      tell({ type: 'silent', workerId } satisfies FromController);
    },
  });
  await engine.listen();
  const lastGood = new LastGood(sharedFolder);
  let isLoaded = false;
  const { file, throttleMs } = configuration.providers;
  const provider =
    file === undefined
      ? undefined
      : new FileProvider({
          configuration: file,
          throttleMs,
          log,
          onConfiguration: (content) => {
            isLoaded = true;
            lastGood.save(content);
            // Workers that are slow to take a change must not hold up the next one.
            void engine.replace('file', content);
          },
        });
  await provider?.start();
  const remembered = isLoaded ? undefined : lastGood.load();
  // This controller replaces one that died while the file was broken: the workers still serve what that one had.
  if (remembered !== undefined) await engine.replace('file', remembered);
  await engine.start();
  tell({ type: 'ready' } satisfies FromController);
  return {
    setAccepting: (workerIds) => {
      engine.setAccepting(workerIds);
    },
    reload: async () => {
      await provider?.reload();
    },
    onServing: () => Promise.resolve(),
    terminate: () => {
      engine.terminate();
    },
  };
}
