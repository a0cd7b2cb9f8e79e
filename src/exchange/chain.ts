// A request's way through the middlewares of its route: passed, with what they change about its headers, or refused.

import { unauthorizedAnswer } from '../http1/answer.ts';
import type { Answer } from '../http1/answer.ts';
import type { MessageHead } from '../http1/head.ts';
import type { BasicAuth } from '../middleware/basic-auth.ts';

/** What the middlewares say. */
export type Verdict =
  | {
      readonly name: 'passed';
      /** Headers that must not reach the server, in lower case. */
      readonly without: readonly string[];
      /** Complete lines for the server. */
      readonly additions: string;
    }
  | { readonly name: 'refused'; readonly answer: Answer };

type Passed = Extract<Verdict, { name: 'passed' }>;

const UNCHANGED: Passed = { name: 'passed', without: [], additions: '' };

/** Asks one after the other; a promise when one of them takes its time. */
export function passChain(chain: readonly BasicAuth[], head: MessageHead): Verdict | Promise<Verdict> {
  if (chain.length === 0) return UNCHANGED;
  // Several Authorization headers are nobody's.
  const values = head.values('authorization');
  const credentials = values.length === 1 ? values[0] : undefined;
  let verdict = UNCHANGED;
  for (const [index, auth] of chain.entries()) {
    const user = auth.checkCached(credentials);
    if (user === undefined) return passSlowly(chain.slice(index), credentials, verdict);
    verdict = authenticated(verdict, auth, user);
  }
  return verdict;
}

async function passSlowly(
  chain: readonly BasicAuth[],
  credentials: string | undefined,
  before: Passed,
): Promise<Verdict> {
  let verdict = before;
  for (const auth of chain) {
    const user = auth.checkCached(credentials) ?? (await auth.check(credentials));
    if (user === undefined) return { name: 'refused', answer: unauthorizedAnswer(auth.realm) };
    verdict = authenticated(verdict, auth, user);
  }
  return verdict;
}

function authenticated({ without, additions }: Passed, auth: BasicAuth, user: string): Passed {
  let names = without;
  let lines = additions;
  if (auth.removeHeader) names = [...names, 'authorization'];
  if (auth.headerField !== undefined) {
    // The name is ours to tell: whatever the client says under it is dropped.
    names = [...names, auth.headerField.toLowerCase()];
    // In UTF-8: heads are written byte by byte, where U+010A would become a line feed.
    lines += `${auth.headerField}: ${Buffer.from(user, 'utf8').toString('latin1')}\r\n`;
  }
  return { name: 'passed', without: names, additions: lines };
}
