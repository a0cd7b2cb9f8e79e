import { it } from 'node:test';
import { Progress } from '../support/progress.ts';
import { killStores } from '../support/store-killer.ts';

const KILLS = Number(process.env['JTP_SOAK_KILLS'] ?? 1000);

for (const usesJournal of [true, false])
  it(`has every acknowledged route after ${String(KILLS)} kills, ${usesJournal ? 'with' : 'without'} a journal`, async (t) => {
    const seed = Date.now();
    const progress = new Progress(
      `${String(KILLS)} kills (JTP_SOAK_KILLS); up to 90 minutes on a busy machine`,
      KILLS,
      'kills',
    );
    const acknowledged = await killStores(t, {
      kills: KILLS,
      seed,
      usesJournal,
      onKill: (kill) => {
        progress.tell(kill);
      },
    });
    t.diagnostic(`seed ${String(seed)}: ${String(acknowledged)} changes were acknowledged`);
  });
