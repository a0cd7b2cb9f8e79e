// Every intended difference from the reference: which case, which fields, why. A case that is not listed must not differ, and one that is
// listed must differ in exactly these fields. The list is data, beside this file's source: expected-differences.json.

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { ROOT } from '../support/traefik-binary.ts';
import type { PeerKind } from './peer.ts';

/** One intended difference. */
export interface ExpectedDifference {
  /** Names as `observation.ts` makes them, sorted. */
  readonly fields: readonly string[];
  /** Half a sentence after "because". */
  readonly reason: string;
}

/** One reason and the cases it explains: `suite/case` to fields. */
interface DifferenceClass {
  readonly reason: string;
  readonly cases: Readonly<Record<string, readonly string[]>>;
}

function readDifferences(): ReadonlyMap<string, ExpectedDifference> {
  const file = path.join(ROOT, 'test', 'conformance', 'expected-differences.json');
  const found = new Map<string, ExpectedDifference>();
  const classes = JSON.parse(readFileSync(file, 'utf8')) as readonly DifferenceClass[];
  for (const { reason, cases } of classes)
    for (const [id, fields] of Object.entries(cases)) found.set(id, { fields, reason });
  return found;
}

const ENGINE_DIFFERENCES = readDifferences();

/** What is expected to differ in one case, if anything. The oldest version is for looking: nothing is listed for it. */
export function expectedDifference(challenger: PeerKind, id: string): ExpectedDifference | undefined {
  return challenger === 'engine' ? ENGINE_DIFFERENCES.get(id) : undefined;
}
