// Runs a table of requests against two proxies with the same configuration and compares what became visible. A difference must be
// listed in expected-differences.ts with exactly its fields; a listed one that is gone fails as well.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { skipWithoutTraefik, OLDEST_VERSION } from '../support/traefik-binary.ts';
import type { Reaction } from './backend.ts';
import { expectedDifference } from './expected-differences.ts';
import { describeFields, differingFields, observe, observeRecords } from './observation.ts';
import type { Observation } from './observation.ts';
import { Peer, describePeer } from './peer.ts';
import type { PeerKind, PeerSetup } from './peer.ts';

/** A change of a file before a request. */
export interface FileChange {
  readonly file: string;
  readonly text: string;
  /** Applied: a GET for `target` answers `status`. Refused: the program logs an error that names the file. */
  readonly until:
    { readonly entryPoint: string; readonly target: string; readonly status: string } | 'refused';
}

/** One comparison. */
export interface Case {
  /** Present tense: what happens. Unique in its suite. */
  readonly name: string;
  /** Default `web`. */
  readonly entryPoint?: string;
  /** Where the client connects; default 127.0.0.1. */
  readonly host?: string;
  readonly send: string;
  /** Sent after a 101. */
  readonly tunnelBytes?: string;
  readonly reaction?: Reaction;
  readonly change?: FileChange;
  /** More than once: only how often each server was reached is compared. */
  readonly repeat?: number;
}

/** One comparison of something else than an HTTP/1.1 request in bytes. */
export interface ProbeCase {
  readonly name: string;
  readonly reaction?: Reaction;
  /** Does it and says what became visible; what reached the servers is added by the suite. */
  readonly probe: (peer: Peer) => Promise<Observation>;
}

/** One configuration set and its cases, which run in order. */
export interface Suite {
  readonly name: string;
  readonly setup: PeerSetup;
  readonly cases: readonly (Case | ProbeCase)[];
  /** Uses something that the oldest version does not know. */
  readonly isNewOnly?: boolean;
}

/**
 * Who is compared with the reference: `JTP_CONFORMANCE_WITH=engine|oldest|reference`. The reference beside itself must never differ: that
 * shows what a case must not look at.
 */
export const CHALLENGER: PeerKind = challengerNamed(process.env['JTP_CONFORMANCE_WITH']);

/** Declares the tests of a suite. */
export function compareSuite(suite: Suite): void {
  const skip = skipWithoutTraefik() || (CHALLENGER === 'oldest' && skipInOldest(suite));
  describe(
    `${suite.name}: ${describePeer(CHALLENGER)} answers as ${describePeer('reference')}`,
    { skip },
    () => {
      let peers: readonly [Peer, Peer] | undefined;
      before(async () => {
        peers = await startPeers(suite.setup);
      });
      after(async () => {
        await Promise.all((peers ?? []).map((peer) => peer.stop()));
      });
      for (const one of suite.cases) {
        it(one.name, async () => {
          assert.ok(peers !== undefined, 'the peers did not start');
          await compareCase(suite, one, peers);
        });
      }
    },
  );
}

function challengerNamed(name: string | undefined): PeerKind {
  if (name === 'reference' || name === 'oldest') return name;
  if (name === undefined || name === 'engine') return 'engine';
  throw new Error(`JTP_CONFORMANCE_WITH=${name}: expected engine, oldest or reference`);
}

function skipInOldest(suite: Suite): string | false {
  return suite.isNewOnly === true
    ? 'the oldest version does not know its keys'
    : skipWithoutTraefik(OLDEST_VERSION);
}

/** Both or none: a program left running would keep the test process alive for ever. */
async function startPeers(setup: PeerSetup): Promise<readonly [Peer, Peer]> {
  const started = await Promise.allSettled([Peer.start('reference', setup), Peer.start(CHALLENGER, setup)]);
  const [first, second] = started;
  if (first.status === 'fulfilled' && second.status === 'fulfilled') return [first.value, second.value];
  for (const one of started) if (one.status === 'fulfilled') await one.value.stop();
  throw first.status === 'rejected' ? first.reason : second.status === 'rejected' ? second.reason : undefined;
}

async function compareCase(suite: Suite, one: Case | ProbeCase, peers: readonly [Peer, Peer]): Promise<void> {
  const [reference, challenger] = await Promise.all([runCase(one, peers[0]), runCase(one, peers[1])]);
  const id = `${suite.name}/${one.name}`;
  if (process.env['JTP_CONFORMANCE_SHOW'] !== undefined) show(id, reference);
  const differing = differingFields(reference, challenger);
  const expected = expectedDifference(CHALLENGER, id);
  const wanted = [...(expected?.fields ?? [])].sort();
  const details = describeFields(
    [...new Set([...differing, ...wanted])],
    { name: peers[0].name, seen: reference },
    { name: peers[1].name, seen: challenger },
  );
  const note = expected === undefined ? '' : `\nexpected to differ because ${expected.reason}`;
  assert.deepEqual(differing, wanted, `differences in ${id}:\n${details}${note}`);
}

async function runCase(one: Case | ProbeCase, peer: Peer): Promise<Observation> {
  if ('probe' in one) {
    await peer.react(one.reaction ?? {});
    const seen = await one.probe(peer);
    return new Map([...seen, ...observeRecords(peer.records, (text) => peer.normalise(text))]);
  }
  if (one.change !== undefined) await applyChange(one.change, peer);
  await peer.react(one.reaction ?? {});
  const options = {
    ...(one.host === undefined ? {} : { host: one.host }),
    ...(one.tunnelBytes === undefined ? {} : { tunnelBytes: one.tunnelBytes }),
  };
  const normalise = (text: string): string => peer.normalise(text);
  if (one.repeat === undefined) {
    const answer = await peer.send(one.entryPoint ?? 'web', one.send, options);
    return observe(answer, peer.records, normalise);
  }
  for (let i = 0; i < one.repeat; i++) await peer.send(one.entryPoint ?? 'web', one.send, options);
  const counts = new Map<string, number>();
  for (const { target } of peer.records) counts.set(target, (counts.get(target) ?? 0) + 1);
  return new Map([...counts].map(([target, count]) => [`reached ${target}`, String(count)]));
}

async function applyChange(change: FileChange, peer: Peer): Promise<void> {
  const from = peer.log.length;
  await peer.write(change.file, change.text);
  if (change.until === 'refused') {
    await peer.untilLogged(/\b(ERR|ERROR)\b/i, from);
    return;
  }
  const { entryPoint, target, status } = change.until;
  await peer.until(entryPoint, target, (seen) => seen === status);
}

/** `JTP_CONFORMANCE_SHOW=1` prints what the reference does: the quickest way to learn a fact. */
function show(id: string, seen: Observation): void {
  const lines = [...seen].map(([field, value]) => `    ${field} = ${JSON.stringify(value)}`);
  process.stdout.write(`${id}\n${lines.join('\n')}\n`);
}
