// Streams that are nearly HTTP, and four readers of them. Whatever the engine passes on, its server's strict parser and h11 must read the
// same requests out of the raw bytes; and no other reader may find other requests in what the engine understood. JTP_FUZZ_SECONDS is how
// long, JTP_FUZZ_SEED begins somewhere in particular.

import assert from 'node:assert/strict';
import { it } from 'node:test';
import { Progress } from '../support/progress.ts';
import type { Recorded } from '../support/recorder.ts';
import { generateStream, Random } from './generator.ts';
import { startH11 } from './h11.ts';
import type { Oracle, Verdict } from './h11.ts';
import { LAST_REQUEST, LAST_TARGET, startEngine, startHaproxy, startTraefik } from './peers.ts';
import type { FuzzPeer, Outcome } from './peers.ts';

const SECONDS = Number(process.env['JTP_FUZZ_SECONDS'] ?? '60');
const SEED = Number(process.env['JTP_FUZZ_SEED'] ?? String(Date.now() % 1_000_000_000));

interface Message {
  readonly method: string;
  readonly target: string;
  readonly body: string;
}

function brief({ method, target, body }: Message): string {
  return `${method} ${target} ${JSON.stringify(body)}`;
}

/** Absolute targets reach a server in origin form. */
function originForm(target: string): string {
  const [, path = ''] = /^https?:\/\/[^/?]*(.*)$/i.exec(target) ?? [undefined, target];
  return path.startsWith('/') || path === '*' ? path : `/${path}`;
}

/** `OPTIONS *` is answered by the proxy itself. */
function forServers<T extends Message>(requests: readonly T[]): readonly T[] {
  return requests.filter(({ target }) => target !== '*');
}

/** Why h11 refused what the engine understood, and how often. */
const refusedByH11 = new Map<string, number>();

/** What h11 found must be what the engine passed on, as far as both went. */
function assertSameAsOracle(
  passed: readonly Recorded[],
  verdict: Verdict,
  options: { readonly isWhole: boolean },
): void {
  for (const [index, request] of passed.entries()) {
    const other = forServers(verdict.requests)[index];
    if (other === undefined) {
      // h11 refuses more than the framing asks for; then it says why.
      assert.ok(
        !options.isWhole && verdict.error !== null,
        `h11 does not see ${brief(request)}: ${JSON.stringify(verdict)}`,
      );
      refusedByH11.set(verdict.error, (refusedByH11.get(verdict.error) ?? 0) + 1);
      return;
    }
    assert.equal(brief(request), brief({ ...other, target: originForm(other.target) }));
  }
  if (options.isWhole) assert.equal(verdict.requests.length, passed.length, 'h11 sees more');
}

/** Framing only: proxies differ in how they write targets, and in what they refuse. */
function assertSameFraming(ours: Outcome, theirs: Outcome, name: string): void {
  if (theirs.problems.length > 0) return;
  for (const [index, request] of ours.requests.entries()) {
    const other = forServers(theirs.requests)[index];
    if (other === undefined) return;
    assert.equal(
      `${request.method} ${JSON.stringify(request.body)}`,
      `${other.method} ${JSON.stringify(other.body)}`,
      `request ${String(index)} as ${name} sees it`,
    );
  }
}

/** Everybody who reads the streams. */
interface Readers {
  readonly engine: FuzzPeer;
  readonly others: readonly FuzzPeer[];
  readonly oracle: Oracle | undefined;
}

/** Gives one stream to everybody; throws when somebody understands it differently. Returns what the engine made of it. */
async function compare(
  stream: string,
  { engine, others, oracle }: Readers,
  patienceMs: number,
): Promise<Outcome> {
  const [ours, ...theirs] = await Promise.all(
    [engine, ...others].map((peer) => peer.try(stream, patienceMs)),
  );
  assert.ok(ours !== undefined);
  try {
    assert.deepEqual(ours.problems, [], 'the bytes that reached the server are not requests');
    if (oracle !== undefined) {
      const used = engine.recorder.connections.filter(({ raw }) => raw !== '');
      for (const { raw, requests } of used)
        assertSameAsOracle(requests, await oracle(raw), { isWhole: true });
      assertSameAsOracle(ours.requests, await oracle(stream + LAST_REQUEST), { isWhole: false });
    }
    for (const [index, outcome] of theirs.entries())
      assertSameFraming(ours, outcome, others[index]?.name ?? '');
    // Somebody else's request on what this stream has left behind.
    const { answer } = await engine.send('GET /other HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n');
    assert.match(answer, /^HTTP\/1.1 200 OK\r\n[^]*\r\n\r\nGET \/other$/, 'another client');
  } catch (error) {
    throw new Error(`stream ${JSON.stringify(stream)}: engine answered ${JSON.stringify(ours.answer)}`, {
      cause: error,
    });
  }
  return ours;
}

it(`understands what others understand, or refuses it (seed ${String(SEED)}, ${String(SECONDS)} s)`, async (t) => {
  const engine = await startEngine(t);
  const h11 = startH11(t);
  const others: FuzzPeer[] = [];
  for (const peer of [await startTraefik(t), await startHaproxy(t), h11]) {
    if (typeof peer === 'string') t.diagnostic(`SKIPPED: ${peer}`);
    else if (typeof peer !== 'function') others.push(peer);
  }
  const readers = { engine, others, oracle: typeof h11 === 'string' ? undefined : h11 };
  const random = new Random(SEED);
  const end = Date.now() + SECONDS * 1000;
  const progress = new Progress(
    `${String(SECONDS)} s of streams that are nearly HTTP (JTP_FUZZ_SECONDS, JTP_FUZZ_SEED)`,
    SECONDS,
    's',
  );
  const counts = { streams: 0, understood: 0, refused: 0, unfinished: 0 };
  while (Date.now() < end) {
    const stream = generateStream(random);
    counts.streams++;
    progress.tell(Math.min(SECONDS, Math.floor(SECONDS - (end - Date.now()) / 1000)));
    // What a slow program still had to do for the stream before may arrive now: only what happens again and again counts.
    const ours = await compare(stream, readers, 300)
      .catch(() => compare(stream, readers, 3000))
      .catch(() => compare(stream, readers, 3000));
    if (ours.requests.at(-1)?.target === LAST_TARGET) counts.understood++;
    else if (ours.isClosed) counts.refused++;
    else counts.unfinished++;
  }
  t.diagnostic(JSON.stringify(counts));
  t.diagnostic(`understood here and refused by h11: ${JSON.stringify([...refusedByH11])}`);
  assert.ok(counts.understood > 0 && counts.refused > 0, 'the generator is neither too tame nor too wild');
});
