// A request's way through the middlewares of its route: passed, with what they change about its headers, or refused.

import { unauthorizedAnswer } from '../http1/answer.ts';
import type { Answer } from '../http1/answer.ts';
import type { MessageHead } from '../http1/head.ts';
import type { Request } from '../http1/request.ts';
import type { BasicAuth } from '../middleware/basic-auth.ts';
import type { Middleware } from '../middleware/middleware.ts';

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

/** What middlewares look at. */
export interface Passing {
  readonly request: Request;
  readonly head: MessageHead;
  /** The one that the client has used, `http` or `https`, as far as it can be known. */
  readonly scheme: () => string;
}

/** Asks one after the other; a promise when one of them takes its time. */
export function passChain(chain: readonly Middleware[], passing: Passing): Verdict | Promise<Verdict> {
  const { head } = passing;
  // Several Authorization headers are nobody's.
  const values = head.values('authorization');
  const credentials = values.length === 1 ? values[0] : undefined;
  let verdict = UNCHANGED;
  for (const [index, middleware] of chain.entries()) {
    if (middleware.kind === 'redirectScheme') {
      const answer = middleware.redirect(passing.request, passing.scheme());
      if (answer !== undefined) return { name: 'refused', answer };
      continue;
    }
    const user = middleware.checkCached(credentials);
    if (user === undefined) return passSlowly(chain.slice(index), { passing, credentials, before: verdict });
    verdict = authenticated(verdict, middleware, user);
  }
  return verdict;
}

/** `chain` begins with the one that has to be waited for; those behind it are asked as if they came first. */
async function passSlowly(
  [first, ...rest]: readonly Middleware[],
  {
    passing,
    credentials,
    before,
  }: { readonly passing: Passing; readonly credentials: string | undefined; readonly before: Passed },
): Promise<Verdict> {
  if (first?.kind !== 'basicAuth') return before;
  const user = await first.check(credentials);
  if (user === undefined) return { name: 'refused', answer: unauthorizedAnswer(first.realm) };
  const verdict = authenticated(before, first, user);
  const later = await passChain(rest, passing);
  if (later.name === 'refused') return later;
  return {
    name: 'passed',
    without: [...verdict.without, ...later.without],
    additions: verdict.additions + later.additions,
  };
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
