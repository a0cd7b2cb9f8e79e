import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { FileProvider } from '../../src/provider/file.ts';
import { rememberingLogger, temporaryFolder } from '../support/hub-store.ts';
import { within } from '../support/sockets.ts';

function routersText(name: string): string {
  return `[http.routers.${name}]\nrule = "Path(\`/\`)"\nservice = "s"\n`;
}

describe('the file provider', () => {
  it('delivers the last of several replacements that follow each other closely', async (t) => {
    const path = join(temporaryFolder(t), 'rules.toml');
    const replace = (name: string): void => {
      writeFileSync(`${path}.new`, routersText(name));
      renameSync(`${path}.new`, path);
    };
    replace('first');
    const waiting = new Map<string, () => void>();
    const provider = new FileProvider({
      configuration: { filename: path, watch: true },
      throttleMs: 0,
      log: rememberingLogger().log,
      onConfiguration: ({ routers }) => {
        for (const name of routers.keys()) waiting.get(name)?.();
      },
    });
    t.after(() => provider.stop());
    await provider.start();
    for (let round = 0; round < 30; round++) {
      const name = `r${String(round)}`;
      const delivered = new Promise<void>((resolve) => waiting.set(name, resolve));
      replace(name);
      await within(delivered, name);
    }
  });
});
